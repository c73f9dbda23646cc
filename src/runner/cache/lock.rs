//! The right to compute one key, held by one thread of one process at a time.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use crate::runner::project::Project;

/// A locked file; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct KeyLock {
    _file: fs::File,
}

impl KeyLock {
    /// Takes the lock at once, or returns `None` if another process holds it.
    pub fn try_acquire(path: &Path) -> io::Result<Option<KeyLock>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(KeyLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, and calls `waiting` once if another process holds it. Returns `None` if
    /// `stop` returns true meanwhile.
    pub fn acquire(
        path: &Path,
        waiting: impl FnOnce(),
        stop: impl Fn() -> bool,
    ) -> io::Result<Option<KeyLock>> {
        let mut waiting = Some(waiting);
        loop {
            if let Some(lock) = KeyLock::try_acquire(path)? {
                return Ok(Some(lock));
            }
            if stop() {
                return Ok(None);
            }
            if let Some(tell) = waiting.take() {
                tell();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The right to read cached models, which runs share, or to drop them, which one process holds
/// alone.
#[derive(Debug)]
pub struct UseLock {
    _file: fs::File,
}

impl UseLock {
    /// Prevents the removal of models while a run is in progress.
    pub fn shared(project: &Project) -> io::Result<UseLock> {
        let file = open(&UseLock::path(project))?;
        file.lock_shared()?;
        Ok(UseLock { _file: file })
    }

    /// Returns the right to drop models; `None` while a run is in progress.
    pub fn alone(project: &Project) -> io::Result<Option<UseLock>> {
        let file = open(&UseLock::path(project))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(UseLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn path(project: &Project) -> PathBuf {
        project.state().join("models.lock")
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_waiting_can_stop() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("locks/key");
        let held = KeyLock::acquire(&path, || {}, || false)?;
        assert!(held.is_some());
        assert!(KeyLock::try_acquire(&path)?.is_none());
        let mut told = false;
        let second = KeyLock::acquire(&path, || told = true, || true)?;
        assert!(second.is_none() && !told);
        drop(held);
        assert!(KeyLock::try_acquire(&path)?.is_some());
        Ok(())
    }
}
