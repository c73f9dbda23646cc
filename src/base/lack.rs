//! Lack of memory, of threads and of room in files, which libraries report in many words.

/// The way out where memory or threads ran out.
pub const MEMORY_HINT: &str = "a smaller `batch_size`, `max_length` or `--jobs` needs less memory; \
     `ulimit -v` and `ulimit -u` show limits on memory and threads";

/// Knows the words in which allocators of the system, of ONNX Runtime and of CUDA say that there is
/// no memory left.
pub fn tells_of_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "out of memory",
        "bad_alloc",
        "failed to allocate memory",
        "cannot allocate memory",
        "bfcarena",
        "bfc_arena",
        "status_alloc_failed",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// Knows the words in which the standard library and thread pools say that memory or threads ran
/// out.
pub fn tells_of_threads(message: &str) -> bool {
    let message = message.to_lowercase();
    ["failed to spawn thread", "resource temporarily unavailable", "memory allocation of"]
        .iter()
        .any(|words| message.contains(words))
}

/// Knows the words in which the loader of libraries says that there is no memory for one.
pub fn tells_of_room(message: &str) -> bool {
    message.contains("failed to map segment") && !message.contains("not permitted")
}

/// Names the lack of memory or threads behind a panic; `None` if it has another reason.
pub fn behind_panic(message: &str) -> Option<&'static str> {
    match message {
        _ if tells_of_memory(message) => Some("out of memory"),
        _ if tells_of_threads(message) => Some("out of memory or threads"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_for_want_of_memory_is_no_bug() {
        for (message, lack) in [
            (
                "failed to spawn thread: Os { code: 11, kind: WouldBlock }",
                "out of memory or threads",
            ),
            ("std::bad_alloc", "out of memory"),
            ("Cannot allocate memory (os error 12)", "out of memory"),
        ] {
            assert_eq!(behind_panic(message), Some(lack), "{message}");
        }
        assert_eq!(behind_panic("index out of bounds"), None);
        assert!(tells_of_room("libx.so: failed to map segment from shared object"));
    }
}
