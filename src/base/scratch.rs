//! Folders for work in progress, which are recognised and removed if their process is killed.
//!
//! They lie below the folder for downloads: `tmp/.tmp-NAME`, each with a file `.tmp-NAME.lock`
//! beside it that its process holds. The system frees the lock when the process ends, so that no
//! clock is asked. The lock is there before the folder is: a folder without a held lock has been
//! left behind.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::files::TEMPORARY;
use super::home::pipe_home;
use super::lock::locked;

const LOCK: &str = ".lock";

/// A folder that is removed when this value is dropped, or later if the process is killed.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Below the folder for downloads; the lock goes with the value.
    Held { lock: PathBuf, _file: fs::File },
    /// In the system's folder for temporary files.
    Temporary { _folder: tempfile::TempDir },
}

impl Scratch {
    /// Makes an empty folder below the folder for downloads, and removes what killed processes have
    /// left there.
    pub fn new(home: &Path) -> io::Result<Scratch> {
        let parent = home.join("tmp");
        locked(&parent.join("lock"), || {
            // What cannot be removed now may be removed by the next one.
            let _ = remove_leftovers(&parent);
            let file =
                tempfile::Builder::new().prefix(TEMPORARY).suffix(LOCK).tempfile_in(&parent)?;
            let (file, lock) = file.keep().map_err(|error| error.error)?;
            let file = fs::File::from_parts(file, &lock);
            file.lock()?;
            let folder = lock.with_extension("");
            fs::create_dir(&folder)?;
            Ok(Scratch { folder, kind: Kind::Held { lock, _file: file } })
        })?
    }

    /// Makes an empty folder below the folder for downloads, or among the system's temporary files
    /// if nothing can be written there.
    pub fn anywhere() -> io::Result<Scratch> {
        if let Ok(home) = pipe_home()
            && let Ok(scratch) = Scratch::new(&home)
        {
            return Ok(scratch);
        }
        let folder = tempfile::tempdir()?;
        Ok(Scratch { folder: folder.path().to_owned(), kind: Kind::Temporary { _folder: folder } })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Kind::Held { lock, .. } = &self.kind {
            let _ = fs::remove_dir_all(&self.folder);
            let _ = fs::remove_file(lock);
        }
    }
}

/// Returns the folders that killed processes have left below the folder for downloads. Nothing is
/// written.
pub fn leftovers(home: &Path) -> io::Result<Vec<PathBuf>> {
    let folders = entries(&home.join("tmp"))?.into_iter();
    Ok(folders.filter(|path| path.is_dir() && is_free(&lock_of(path))).collect())
}

/// Removes the folders of [`leftovers`].
pub fn clear(home: &Path) -> io::Result<()> {
    let parent = home.join("tmp");
    match parent.is_dir() {
        true => locked(&parent.join("lock"), || remove_leftovers(&parent))?,
        false => Ok(()),
    }
}

/// Removes what is left behind, as far as that is possible. The caller holds the lock of the
/// parent, so that no folder is in the making.
fn remove_leftovers(parent: &Path) -> io::Result<()> {
    let mut outcome = Ok(());
    for path in entries(parent)? {
        let is_folder = path.is_dir();
        let lock = if is_folder { lock_of(&path) } else { path.clone() };
        if !is_free(&lock) {
            continue;
        }
        let removed = if is_folder { fs::remove_dir_all(&path) } else { Ok(()) };
        match removed.and_then(|()| fs::remove_file(&lock)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => outcome = Err(error),
            _ => {}
        }
    }
    outcome
}

/// Returns the folders and their locks, in the order of their names.
fn entries(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let is_own = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
    };
    let mut paths: Vec<PathBuf> = paths?.into_iter().filter(is_own).collect();
    paths.sort();
    Ok(paths)
}

fn lock_of(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(LOCK);
    name.into()
}

/// Says whether nobody holds a lock. One that cannot be opened counts as held.
fn is_free(lock: &Path) -> bool {
    match fs::OpenOptions::new().write(true).open(lock) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_found_and_removed() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        assert!(leftovers(home.path())?.is_empty());
        clear(home.path())?;
        assert!(!home.path().join("tmp").exists(), "a question wrote something");

        let living = Scratch::new(home.path())?;
        fs::write(living.path().join("file"), "x")?;
        // A killed process leaves its folder, and a lock that nobody holds or none at all.
        let tmp = home.path().join("tmp");
        for name in [".tmp-dead", ".tmp-bare"] {
            fs::create_dir(tmp.join(name))?;
            fs::write(tmp.join(name).join("large"), "x")?;
        }
        fs::write(tmp.join(".tmp-dead.lock"), "")?;
        fs::write(tmp.join(".tmp-lone.lock"), "")?;
        let dead = [tmp.join(".tmp-bare"), tmp.join(".tmp-dead")];
        assert_eq!(leftovers(home.path())?, dead);

        let other = Scratch::new(home.path())?;
        assert!(leftovers(home.path())?.is_empty());
        assert!(living.path().join("file").is_file() && other.path().is_dir());
        drop((living, other));
        let left: Vec<PathBuf> = entries(&tmp)?;
        assert!(left.is_empty(), "{left:?}");

        fs::create_dir(tmp.join(".tmp-bare"))?;
        clear(home.path())?;
        assert!(entries(&tmp)?.is_empty());
        Ok(())
    }
}
