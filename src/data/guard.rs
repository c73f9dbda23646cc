//! Turns panics over damaged files into errors.

use std::panic::{set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::{PolarsError, PolarsResult};

use crate::base::contain::contained;

/// The number of guarded reads in progress.
static READING: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

/// Ends a guarded read, also by a panic that goes on.
struct Reading;

impl Drop for Reading {
    fn drop(&mut self) {
        READING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a read of polars and returns its panic, if any, as an error.
///
/// The Parquet reader checks a file's metadata, but not that the pages match it, and panics if they
/// do not. Its panic messages are suppressed, only for its own threads and only during a guarded
/// read.
pub(crate) fn guarded<T>(read: impl FnOnce() -> PolarsResult<T>) -> PolarsResult<T> {
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            let of_polars =
                || std::thread::current().name().is_some_and(|name| name.starts_with("polars-"));
            let in_polars =
                || panic.location().is_some_and(|place| place.file().contains("polars"));
            if READING.load(Ordering::Relaxed) == 0 || !(of_polars() || in_polars()) {
                usual(panic);
            }
        }));
    });
    READING.fetch_add(1, Ordering::Relaxed);
    let _reading = Reading;
    contained(read).unwrap_or_else(|_| {
        Err(PolarsError::ComputeError("its content does not match its metadata".into()))
    })
}
