//! The folder of shared downloads: models and runtimes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A folder for downloads that is not known.
#[derive(Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum HomeError {
    #[error("there is no folder for downloads: the user has no home folder")]
    #[diagnostic(help("set `PIPE_HOME` to a folder, with its full path"))]
    NoHome,

    #[error("`PIPE_HOME` is set to `{}`, which is no full path", path.display())]
    #[diagnostic(help(
        "write the full path: libraries are loaded from this folder, so it must not depend on the \
         working folder"
    ))]
    Relative { path: PathBuf },
}

/// Returns the folder for shared downloads: the first of `PIPE_HOME`, `$XDG_CACHE_HOME/pipe` and
/// `.cache/pipe` in the user's home folder that is known.
///
/// The path is always absolute. What lies in this folder is loaded and run, so a folder that
/// somebody else made must not become it because a command is given there.
pub fn pipe_home() -> Result<PathBuf, HomeError> {
    home(&|name| std::env::var_os(name), std::env::home_dir().as_deref())
}

fn home(
    variable: &dyn Fn(&str) -> Option<OsString>,
    user: Option<&Path>,
) -> Result<PathBuf, HomeError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("PIPE_HOME") {
        return if path.is_absolute() { Ok(path) } else { Err(HomeError::Relative { path }) };
    }
    xdg_cache(variable)
        .or_else(|| user.filter(|home| home.is_absolute()).map(|home| home.join(".cache")))
        .map(|cache| cache.join("pipe"))
        .ok_or(HomeError::NoHome)
}

/// Returns the folder that `XDG_CACHE_HOME` names. A relative one does not count, as the XDG Base
/// Directory Specification says.
pub fn xdg_cache(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_never_depends_on_the_working_folder() {
        let root = if cfg!(windows) { "C:\\" } else { "/" };
        let full = |name: &str| format!("{root}{name}");
        let found = |variables: &[(&str, &str)], user: Option<&str>| {
            let variable = |name: &str| {
                variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.into())
            };
            home(&variable, user.map(Path::new))
        };
        let user = full("reader");
        let usual = Ok(Path::new(&user).join(".cache/pipe"));
        assert_eq!(found(&[], Some(&user)), usual);
        assert_eq!(found(&[("PIPE_HOME", ""), ("XDG_CACHE_HOME", "")], Some(&user)), usual);
        assert_eq!(found(&[("XDG_CACHE_HOME", "cache")], Some(&user)), usual);
        let cache = full("cache");
        let xdg = found(&[("XDG_CACHE_HOME", &cache)], Some(&user));
        assert_eq!(xdg, Ok(Path::new(&cache).join("pipe")));
        let own = full("own");
        assert_eq!(found(&[("PIPE_HOME", &own)], None), Ok(PathBuf::from(&own)));
        for relative in ["own", ".", "~/own"] {
            let error = found(&[("PIPE_HOME", relative)], Some(&user));
            assert_eq!(error, Err(HomeError::Relative { path: relative.into() }));
        }
        for nowhere in [None, Some(""), Some("."), Some("home")] {
            assert_eq!(found(&[], nowhere), Err(HomeError::NoHome));
        }
    }
}
