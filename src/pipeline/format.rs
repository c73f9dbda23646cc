//! The constants of the file format.

/// The keys at the top of a pipeline file.
pub(crate) const KEYS: [&str; 7] =
    ["version", "name", "seed", "resolved", "params", "stages", "sweep"];

/// The version of the file format.
pub(crate) const VERSION: u64 = 1;

/// The seed where the file gives none.
pub(crate) const DEFAULT_SEED: u64 = 13;
