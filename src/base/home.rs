//! The folder of shared downloads: models and runtimes.

use std::path::PathBuf;

/// Returns the folder for shared downloads: the first of `PIPE_HOME`, `$XDG_CACHE_HOME/pipe` and
/// `~/.cache/pipe` whose variable is set, otherwise `.pipe/home`.
pub fn pipe_home() -> PathBuf {
    let variable =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("PIPE_HOME")
        .or_else(|| variable("XDG_CACHE_HOME").map(|path| path.join("pipe")))
        .or_else(|| variable("HOME").map(|path| path.join(".cache/pipe")))
        .unwrap_or_else(|| PathBuf::from(".pipe/home"))
}
