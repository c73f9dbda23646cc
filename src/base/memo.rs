//! Stored digests of large files, so that a rerun need not read the files again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::files::write_atomic;
use super::home::pipe_home;

/// A file that changed less than this before it was hashed may change again within the same tick of
/// the file system's clock. Such a change would be missed, so the digest is not stored.
const SETTLED: Duration = Duration::from_secs(2);

/// The properties of a file that stand for its content while none of them changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The files that this process has read itself.
static READ: Mutex<BTreeMap<PathBuf, (Stamp, Digest)>> = Mutex::new(BTreeMap::new());

/// Does work in which [`digest_of`] reads every file that this process has not read yet. A disk
/// that loses a bit changes no time of the file.
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
    let read = || READ.lock().unwrap_or_else(PoisonError::into_inner);
    if is_afresh()
        && let Some((of, digest)) = read().get(&path)
        && *of == before
    {
        return Ok(*digest);
    }
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
        read().insert(path, (before.clone(), digest));
        let entry = Entry { stamp: before, digest };
        // If the digest cannot be stored (a read-only home, a full disk), only time is lost.
        if let Ok(bytes) = serde_json::to_vec(&entry) {
            let _ = write_atomic(&place, &bytes);
        }
    }
    Ok(digest)
}

fn settled(stamp: &Stamp, now: SystemTime) -> bool {
    is_past(stamp.modified_nanos.max(stamp.changed_nanos), now)
}

fn is_past(moment: i128, now: SystemTime) -> bool {
    nanos(now) - moment >= SETTLED.as_nanos() as i128
}

/// Returns the digest of a file's content, which is read once by a process for all names that the
/// file has. A file of one name is always read: only shared ones are looked at again and again.
pub fn digest_of_shared(path: &Path) -> io::Result<Digest> {
    /// What tells that a shared file is the same. A new name changes the time of the inode, so that
    /// it is no part of this.
    type Same = (u64, u64, u64, i128);
    static KNOWN: Mutex<BTreeMap<Same, Digest>> = Mutex::new(BTreeMap::new());
    if names(path)? < 2 {
        return Digest::of_file(path);
    }
    let Stamp { size, modified_nanos, inode, device, .. } = stamp(path)?;
    let same = (device, inode, size, modified_nanos);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_afresh()
        && let Some(digest) = known().get(&same)
    {
        return Ok(*digest);
    }
    let hashed_at = SystemTime::now();
    let digest = Digest::of_file(path)?;
    if is_past(modified_nanos, hashed_at) {
        known().insert(same, digest);
    }
    Ok(digest)
}

/// Returns how many names a file has; 1 where the system does not tell.
#[cfg(unix)]
pub fn names(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs_err::symlink_metadata(path)?.nlink().max(1))
}

#[cfg(not(unix))]
pub fn names(_: &Path) -> io::Result<u64> {
    Ok(1)
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

    #[cfg(unix)]
    #[test]
    fn a_file_of_several_names_is_read_again_once_it_has_changed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let names = ["one", "other", "third"].map(|name| folder.path().join(name));
        for content in [&b"aaaa"[..], b"bbbb"] {
            fs::write(&names[0], content)?;
            for name in &names[1..] {
                if !name.exists() {
                    fs::hard_link(&names[0], name)?;
                }
                assert_eq!(digest_of_shared(name)?, Digest::of(content));
            }
        }
        std::thread::sleep(SETTLED + Duration::from_millis(50));
        assert_eq!(digest_of_shared(&names[0])?, Digest::of(b"bbbb"));
        // What only the clock could tell is not looked at again, but by who asks for it.
        let modified = fs::metadata(&names[0])?.modified()?;
        fs::write(&names[0], b"cccc")?;
        fs::OpenOptions::new().append(true).open(&names[0])?.into_file().set_modified(modified)?;
        assert_eq!(digest_of_shared(&names[1])?, Digest::of(b"bbbb"));
        assert_eq!(afresh(|| digest_of_shared(&names[1]))?, Digest::of(b"cccc"));
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
