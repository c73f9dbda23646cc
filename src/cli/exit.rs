//! How the program ends.

/// The exit codes; `pipe --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success = 0,
    /// A stage failed, or a check found damage.
    Failed = 1,
    /// Wrong usage or an invalid pipeline file; nothing ran.
    Usage = 2,
    /// Stopped by the user.
    Interrupted = 130,
}
