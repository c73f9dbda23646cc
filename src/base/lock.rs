//! Locks between processes.

use std::io;
use std::path::Path;

use fs_err as fs;

/// Runs `work` while this process holds the lock file at `path`; other processes wait for it. The
/// operating system releases the lock when the process ends, even if it is killed.
pub fn locked<T>(path: &Path, work: impl FnOnce() -> T) -> io::Result<T> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    Ok(work())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_at_a_time() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("deep/lock");
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        locked(&path, || {
                            let others = inside.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(std::time::Duration::from_millis(10));
                            inside.fetch_sub(1, Ordering::SeqCst);
                            others
                        })
                    })
                })
                .collect();
            for worker in workers {
                assert_eq!(worker.join().map_err(|_| io::Error::other("panicked"))??, 0);
            }
            Ok(())
        })
    }
}
