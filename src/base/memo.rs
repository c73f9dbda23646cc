//! Stored digests of large files, so that a rerun need not read the files again.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::files::write_atomic;
use super::home::pipe_home;

/// A file that changed less than this before it was hashed may change again within the same tick of
/// the file system's clock. Such a change would be missed, so the digest is not stored.
const SETTLED: Duration = Duration::from_secs(2);

/// The properties of a file that stand for its content while none of them changes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    modified_nanos: i128,
    /// The time of the inode's last change, which resetting the modification time also updates.
    changed_nanos: i128,
    inode: u64,
    device: u64,
}

/// The digest of a file. The file of this is named after the digest of the path, which may hold
/// what an environment variable gave.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    stamp: Stamp,
    digest: Digest,
}

thread_local! {
    /// Whether stored digests are left aside on this thread.
    static AFRESH: Cell<bool> = const { Cell::new(false) };
}

/// Does work in which [`digest_of`] reads every file again. A disk that loses a bit changes no time
/// of the file.
pub fn afresh<T>(work: impl FnOnce() -> T) -> T {
    /// Ends it after a panic too.
    struct Ending;
    impl Drop for Ending {
        fn drop(&mut self) {
            AFRESH.set(false);
        }
    }
    AFRESH.set(true);
    let _ending = Ending;
    work()
}

/// Says whether this is the work of [`afresh`].
pub fn is_afresh() -> bool {
    AFRESH.get()
}

/// Returns the digest of a file's content. The stored digest is used if size, times and inode are
/// unchanged.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    match pipe_home() {
        Ok(home) => digest_of_within(path, &home),
        // Without a folder to store it in, only time is lost.
        Err(_) => Digest::of_file(path),
    }
}

fn digest_of_within(path: &Path, home: &Path) -> io::Result<Digest> {
    let path = fs_err::canonicalize(path)?;
    let name = path.to_string_lossy().into_owned();
    let before = stamp(&path)?;
    let place = home.join("digests").join(format!("{}.json", Digest::of(name.as_bytes())));
    if !is_afresh()
        && let Some(entry) =
            fs_err::read(&place).ok().and_then(|bytes| serde_json::from_slice::<Entry>(&bytes).ok())
        && entry.stamp == before
    {
        return Ok(entry.digest);
    }
    let hashed_at = SystemTime::now();
    let digest = Digest::of_file(&path)?;
    if settled(&before, hashed_at) && stamp(&path)? == before {
        let entry = Entry { stamp: before, digest };
        // If the digest cannot be stored (a read-only home, a full disk), only time is lost.
        if let Ok(bytes) = serde_json::to_vec(&entry) {
            let _ = write_atomic(&place, &bytes);
        }
    }
    Ok(digest)
}

fn settled(stamp: &Stamp, now: SystemTime) -> bool {
    let now = nanos(now);
    let last = stamp.modified_nanos.max(stamp.changed_nanos);
    now - last >= SETTLED.as_nanos() as i128
}

fn nanos(time: SystemTime) -> i128 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

#[cfg(unix)]
fn stamp(path: &Path) -> io::Result<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let data = fs_err::metadata(path)?;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Ok(Stamp {
        size: data.len(),
        modified_nanos: nanos(data.mtime(), data.mtime_nsec()),
        changed_nanos: nanos(data.ctime(), data.ctime_nsec()),
        inode: data.ino(),
        device: data.dev(),
    })
}

#[cfg(not(unix))]
fn stamp(path: &Path) -> io::Result<Stamp> {
    let data = fs_err::metadata(path)?;
    let changed_nanos = data.created().map_or(0, nanos);
    Ok(Stamp {
        size: data.len(),
        modified_nanos: nanos(data.modified()?),
        changed_nanos,
        inode: 0,
        device: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    #[test]
    fn a_fresh_file_is_never_remembered_and_a_change_is_always_seen() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("weights");
        for content in [b"aaaa", b"bbbb", b"cccc"] {
            fs::write(&file, content)?;
            assert_eq!(digest_of_within(&file, home.path())?, Digest::of(content));
        }
        assert!(
            !home.path().join("digests").exists(),
            "a digest was stored within the clock's tick"
        );
        Ok(())
    }

    #[test]
    fn a_settled_file_is_not_read_again_until_its_stamp_changes() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("weights");
        fs::write(&file, b"true")?;
        std::thread::sleep(SETTLED + Duration::from_millis(50));
        let digest = digest_of_within(&file, home.path())?;
        // A wrong stored digest shows whether it, or the file, is read.
        let place = fs::read_dir(home.path().join("digests"))?
            .next()
            .ok_or(io::ErrorKind::NotFound)??
            .path();
        let other = Digest::of(b"other");
        let changed = fs::read_to_string(&place)?.replace(&digest.to_string(), &other.to_string());
        fs::write(&place, changed)?;
        assert_eq!(digest_of_within(&file, home.path())?, other);
        assert_eq!(afresh(|| digest_of_within(&file, home.path()))?, digest);
        let changed = fs::read_to_string(&place)?.replace(&digest.to_string(), &other.to_string());
        fs::write(&place, changed)?;
        assert_eq!(digest_of_within(&file, home.path())?, other);
        fs::write(&file, b"news")?;
        assert_eq!(digest_of_within(&file, home.path())?, Digest::of(b"news"));
        fs::write(&place, b"{ broken")?;
        assert_eq!(digest_of_within(&file, home.path())?, Digest::of(b"news"));
        Ok(())
    }
}
