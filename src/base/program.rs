//! Programs of the system: where they are looked for, and how they end.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns a command for a program of the `PATH`, without input, which ends when this process does;
/// `None` if there is no such program.
pub fn command(name: &str) -> Option<Command> {
    Some(command_at(&find(name)?))
}

/// Returns the same for a program at a path.
pub fn command_at(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    // What it starts itself comes from no folder of a relative name either, and Python takes no
    // module of the working folder.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", absolute(&path)).env("PYTHONSAFEPATH", "1");
    if let Some(path) = std::env::var_os("PYTHONPATH") {
        command.env("PYTHONPATH", elsewhere(&path, std::env::current_dir().ok().as_deref()));
    }
    end_with_parent(&mut command);
    command
}

/// Looks for a program in the folders of the `PATH`. Relative ones are passed over, and so is the
/// working folder, which Windows searches too: whoever made that folder does not choose what runs.
pub fn find(name: &str) -> Option<PathBuf> {
    find_in(&std::env::var_os("PATH")?, name)
}

/// Returns a list of folders without relative ones.
fn absolute(folders: &OsStr) -> OsString {
    let kept = std::env::split_paths(folders).filter(|folder| folder.is_absolute());
    std::env::join_paths(kept).unwrap_or_default()
}

/// Returns a list of folders without relative ones, and without those in the working folder.
fn elsewhere(folders: &OsStr, here: Option<&Path>) -> OsString {
    let is_elsewhere = |folder: &PathBuf| {
        folder.is_absolute() && here.is_none_or(|here| !folder.starts_with(here))
    };
    let kept = std::env::split_paths(folders).filter(is_elsewhere);
    std::env::join_paths(kept).unwrap_or_default()
}

fn find_in(path: &std::ffi::OsStr, name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&file))
        .find(|program| is_executable(program))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// Lets the program be killed when this process ends, even if it is killed itself. Linux alone can
/// do that; on other systems the program goes on.
///
/// The system takes the end of the thread that starts the program for the end of the process. So
/// that thread has to wait for the program.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "what runs between `fork` and `exec` cannot be checked")]
pub fn end_with_parent(command: &mut Command) {
    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;

    let parent = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match getppid() == Some(parent) {
            true => Ok(()),
            // It ended before it could be asked.
            false => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    };
    // SAFETY: the closure makes two system calls and neither allocates nor takes locks.
    unsafe { command.pre_exec(ask) };
}

/// Does nothing: only Linux ends a program with the process that started it.
#[cfg(not(target_os = "linux"))]
pub fn end_with_parent(_: &mut Command) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn lists_of_folders_lose_what_the_working_folder_offers() {
        let list = OsStr::new("/a:.:bin::/project/bin:/b");
        assert_eq!(absolute(list), "/a:/project/bin:/b");
        assert_eq!(elsewhere(list, Some(Path::new("/project"))), "/a:/b");
    }

    #[test]
    fn the_working_folder_offers_no_program() -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir()?;
        let program = root.path().join("own");
        fs_err::write(&program, "")?;
        let full = |path: &Path| path.as_os_str().to_owned();
        let found = |path: &std::ffi::OsStr| find_in(path, "own");
        assert_eq!(found(&full(root.path())), None, "it cannot be executed");
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        assert_eq!(found(&full(root.path())), Some(program.clone()));
        // A relative way to the same folder.
        let here = std::env::current_dir()?;
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up.join(root.path().strip_prefix("/").unwrap_or(root.path()));
        assert!(relative.join("own").is_file());
        assert_eq!(found(relative.as_os_str()), None);
        let both = std::env::join_paths([&relative, Path::new(""), root.path()]);
        assert_eq!(found(&both.map_err(std::io::Error::other)?), Some(program));
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert!(command("no-such-program").is_none());
        Ok(())
    }
}
