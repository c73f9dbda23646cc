//! What the system does to a process on its own: signals at the start, and the end without detours.

use super::exit::Exit;

/// Prepares for what the system may do to the program. It is called once, before other threads.
pub fn prepare() {
    #[cfg(unix)]
    unix::prepare();
}

/// Ends the program at once.
///
/// Handlers of `exit` and destructors of libraries would run beside threads of ONNX Runtime, which
/// then use what is gone. All that has to be written has been: files appear whole or not at all.
#[expect(unsafe_code, reason = "no safe function leaves the handlers of `exit` out")]
pub fn leave(exit: Exit) -> ! {
    unsafe extern "C" {
        fn _exit(code: i32) -> !;
    }
    // SAFETY: the C library of every supported system has this function, and it takes any number.
    unsafe { _exit(exit as i32) }
}

#[cfg(unix)]
mod unix {
    use std::sync::atomic::{AtomicBool, Ordering};

    /// What follows the message of the library that aborts.
    const ABORTED: &[u8] = b"  hint: if memory ran out, a smaller `batch_size`, `max_length` or \
        `--jobs` needs less of it; `ulimit -v` shows a limit on it\n";

    static TOLD: AtomicBool = AtomicBool::new(false);

    /// Lets a write beyond `ulimit -f` fail with an error instead of ending the program, and adds
    /// a way out to the message of an allocation that failed.
    ///
    /// Programs that this one starts do not inherit handlers, as they would a signal that is
    /// ignored.
    #[expect(unsafe_code, reason = "the standard library has no signals")]
    pub(super) fn prepare() {
        let too_large: extern "C" fn(libc::c_int) = too_large;
        let aborted: extern "C" fn(libc::c_int) = aborted;
        // SAFETY: both handlers do only what a handler may do: nothing, and a write of constant
        // bytes.
        unsafe {
            libc::signal(libc::SIGXFSZ, too_large as libc::sighandler_t);
            libc::signal(libc::SIGABRT, aborted as libc::sighandler_t);
        }
    }

    extern "C" fn too_large(_: libc::c_int) {}

    /// Tells, and ends the process as the signal would have. A signal that another process sends
    /// ends it too, which does not follow from the return of a handler.
    #[expect(unsafe_code, reason = "a handler may not use the standard library's streams")]
    extern "C" fn aborted(signal: libc::c_int) {
        if !TOLD.swap(true, Ordering::SeqCst) {
            // SAFETY: the bytes are valid for their length; a failure is ignored.
            unsafe { libc::write(libc::STDERR_FILENO, ABORTED.as_ptr().cast(), ABORTED.len()) };
        }
        // SAFETY: both calls are among those that a handler may make.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}
