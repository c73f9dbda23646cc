//! Panics of libraries over damaged files become errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::lack::behind_panic;

/// Calls a library on a user's file, and returns the message of its panic, if any. A lack of memory
/// or threads is no fault of the file, so that panic goes on.
pub fn contained<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let text = message(&*payload);
        if behind_panic(&text).is_some() {
            resume_unwind(payload);
        }
        text
    })
}

/// Returns the message of a panic.
pub fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_unless_memory_ran_out() {
        assert_eq!(contained(|| 1), Ok(1));
        let broken: Result<(), String> = contained(|| panic!("no rule {}", 7));
        assert_eq!(broken, Err("no rule 7".to_owned()));
        let lacking = catch_unwind(|| contained(|| panic!("std::bad_alloc")));
        assert!(lacking.is_err());
    }
}
