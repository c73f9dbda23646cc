//! The right to compute one key, held by one thread of one process at a time.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use crate::base::clock::Stopwatch;
use crate::runner::project::Project;

/// How long a lock that decides something is waited for before it counts as held. Another process
/// may hold it for a moment only: to see whether a run is alive, or because it was just forked and
/// keeps every descriptor until it starts its own program.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same where others wait meanwhile, and where a lock that is only held for a moment may count
/// as held.
const BRIEF: Duration = Duration::from_millis(50);

/// A locked file; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct KeyLock {
    _file: fs::File,
}

impl KeyLock {
    /// Takes the lock, or returns `None` if another process keeps it for longer than a moment.
    pub fn acquire_soon(path: &Path) -> io::Result<Option<KeyLock>> {
        soon(PATIENCE, || KeyLock::try_acquire(path))
    }

    /// Takes the lock at once, or returns `None` if another process holds it, even for a moment.
    pub fn try_acquire(path: &Path) -> io::Result<Option<KeyLock>> {
        Ok(try_lock(path)?.map(|file| KeyLock { _file: file }))
    }

    /// Says whether a process keeps the lock for longer than a moment. Writes nothing.
    pub fn is_held(path: &Path) -> bool {
        // A lock that cannot be tried counts as held, so that what it protects stays.
        path.exists() && !matches!(soon(BRIEF, || KeyLock::try_acquire(path)), Ok(Some(_)))
    }

    /// Removes the file of a lock that nobody holds.
    pub fn remove_unless_held(path: &Path) -> io::Result<()> {
        match KeyLock::try_acquire(path)? {
            // Those who wait for it open the file anew each time.
            Some(_held) => fs::remove_file(path),
            None => Ok(()),
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
        let path = UseLock::path(project);
        Ok(soon(PATIENCE, || try_lock(&path))?.map(|file| UseLock { _file: file }))
    }

    fn path(project: &Project) -> PathBuf {
        project.state().join("models.lock")
    }
}

/// The right to write below `.pipe` and `runs`, which all writers share, or to remove what nobody
/// uses, which one process has alone. Both hold it as long as they write or look.
///
/// So whoever removes sees every run that uses an output, and no file that is being written.
#[derive(Debug)]
pub struct CollectLock {
    _file: fs::File,
}

impl CollectLock {
    /// Keeps others from removing anything. `state` is the project's `.pipe`.
    pub fn shared(state: &Path) -> io::Result<CollectLock> {
        let file = open(&state.join(COLLECT))?;
        file.lock_shared()?;
        Ok(CollectLock { _file: file })
    }

    /// Waits until nobody writes, and keeps others from it. Where the file of the lock is not there
    /// and may not be made, nobody has written yet, and there is no lock.
    pub fn alone(state: &Path, may_create: bool) -> io::Result<Option<CollectLock>> {
        let path = state.join(COLLECT);
        if !may_create && !path.exists() {
            return Ok(None);
        }
        let file = open(&path)?;
        file.lock()?;
        Ok(Some(CollectLock { _file: file }))
    }
}

const COLLECT: &str = "gc.lock";

/// Tries for a time before it returns `None`.
fn soon<T>(
    patience: Duration,
    attempt: impl Fn() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let stopwatch = Stopwatch::start();
    loop {
        let taken = attempt()?;
        if taken.is_some() || stopwatch.seconds() > patience.as_secs_f64() {
            return Ok(taken);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn try_lock(path: &Path) -> io::Result<Option<fs::File>> {
    loop {
        let file = open(path)?;
        match file.try_lock() {
            // `gc` may have removed the file after it was opened; whoever comes next locks another.
            Ok(()) if !is_named(&file, path)? => {}
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Says whether a file still has the name by which it was opened.
fn is_named(file: &fs::File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (ours, named) = (file.metadata()?, fs::metadata(path));
        match named {
            Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
    // Elsewhere a file that is open cannot be removed.
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        Ok(true)
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::OpenOptions::new().create(true).truncate(false).write(true).open(path) {
        // The file of another user. Nothing is written to it, and reading is enough for its lock.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::File::open(path),
        opened => opened,
    }
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
        assert!(KeyLock::acquire_soon(&path)?.is_some());
        Ok(())
    }

    #[test]
    fn a_lock_held_for_a_moment_decides_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("key");
        let held = KeyLock::acquire_soon(&path)?;
        assert!(held.is_some());
        // A forked child keeps the descriptor after its parent closed it, as this copy does.
        let copy = held.as_ref().map(|lock| lock._file.file().try_clone()).transpose()?;
        drop(held);
        assert!(KeyLock::try_acquire(&path)?.is_none());
        let freed = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            drop(copy);
        });
        assert!(KeyLock::acquire_soon(&path)?.is_some());
        freed.join().map_err(|_| io::Error::other("panicked"))
    }
}
