//! The content-addressed outputs of stages: `.pipe/cache/<key>/` with `artifact/…`, `key.json` and
//! `done.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

use super::entry::{DONE, Depth, Done, Entry, KEY, Lookup, OUTPUT, records};
use super::key::KeyMaterial;
use super::lock::{CollectLock, KeyLock};
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::files::{AtomicFiles, TEMPORARY, replace_folder_atomic, write_atomic};
use crate::base::sealed;
use crate::runner::project::Project;
use crate::stages::{Kind, Output, StageError};

const DAMAGED: &str = ".damaged-";
const GONE: &str = "it is no longer in the cache";

/// The outputs of stages by key, shared safely by any number of processes.
#[derive(Clone, Debug)]
pub struct Cache {
    state: PathBuf,
    /// Entries of another cache, which are only read.
    lent: BTreeMap<Digest, PathBuf>,
}

/// An output that cannot be read from the cache.
#[derive(Debug)]
pub enum Unread {
    /// It is not there, or not as it was stored: it is to be computed again. The text is what is
    /// wrong with it.
    Lost(String),
    /// It is as it was stored, and cannot be read.
    Failed(StageError),
}

impl Cache {
    /// Opens the cache of a project; nothing is written before the first output.
    pub fn new(project: &Project) -> Cache {
        Cache::at(&project.state())
    }

    /// Opens a cache in any folder.
    pub fn at(state: &Path) -> Cache {
        Cache { state: state.to_owned(), lent: BTreeMap::new() }
    }

    /// Adds an entry of another cache, to be read alone.
    pub fn lend(&mut self, entry: Entry) {
        self.lent.insert(entry.key, entry.folder);
    }

    /// Looks a key up. A stripped entry is no hit.
    pub fn find(&self, key: &Digest, depth: Depth) -> Lookup {
        match self.find_any(key, depth) {
            Lookup::Hit(entry) if entry.done.is_stripped => Lookup::Miss,
            found => found,
        }
    }

    /// Looks a key up. An entry of which only the records are left is a hit too.
    pub fn find_any(&self, key: &Digest, depth: Depth) -> Lookup {
        let own = self.folder(key);
        let lent = self.lent.get(key).filter(|_| !own.is_dir()).cloned();
        Entry::look(key, lent.unwrap_or(own), depth)
    }

    /// Looks a key up whose records are wanted: those of a kind that may be stripped, or all files.
    pub fn find_records(&self, kind: Kind, key: &Digest) -> Lookup {
        match kind.records {
            Some(records) => self.find_any(key, Depth::Digests(records)),
            None => self.find(key, Depth::WHOLE),
        }
    }

    /// Returns the entry of a key if it is whole by names and sizes.
    pub fn entry(&self, key: &Digest) -> Option<Entry> {
        self.find(key, Depth::Sizes).hit()
    }

    /// Reads a whole output. All its files are compared with their digests first.
    pub fn read(&self, kind: Kind, key: &Digest) -> Result<Arc<dyn Output>, Unread> {
        self.read_whole(key, kind.read)
    }

    /// Reads from a whole output. All its files are compared with their digests first.
    pub fn read_whole<T>(
        &self,
        key: &Digest,
        take: impl FnOnce(&Path) -> Result<T, StageError>,
    ) -> Result<T, Unread> {
        read(|| self.find(key, Depth::WHOLE), take)
    }

    /// Reads from the records of an output. They are compared with their digests first.
    pub fn read_records<T>(
        &self,
        kind: Kind,
        key: &Digest,
        take: impl FnOnce(&Path) -> Result<T, StageError>,
    ) -> Result<T, Unread> {
        read(|| self.find_records(kind, key), take)
    }

    /// Stores an output: `write` fills the output's folder. The entry appears whole or not at
    /// all, and replaces an older one only when it is complete. The caller holds the key's lock.
    pub fn store(
        &self,
        key: &Digest,
        material: &KeyMaterial,
        about: Done,
        write: impl FnOnce(&Path) -> Result<(), StageError>,
    ) -> Result<Entry, StageError> {
        self.mark_folder().map_err(boxed)?;
        let _writing = CollectLock::shared(&self.state).map_err(boxed)?;
        let mut done = about;
        replace_folder_atomic::<Stored>(&self.folder(key), |folder| {
            let output = folder.join(OUTPUT);
            fs::create_dir(&output)?;
            write(&output)?;
            done.files = records(&output)?;
            // All files are flushed together before the folder gets its name.
            fs::write(folder.join(KEY), sealed::seal(material)?)?;
            fs::write(folder.join(DONE), sealed::seal(&done)?)?;
            Ok(())
        })
        .map_err(|stored| stored.0)?;
        Ok(Entry { key: *key, folder: self.folder(key), done })
    }

    /// Sets an entry aside, where `gc` finds it. The caller holds the key's lock.
    pub fn set_aside(&self, key: &Digest) -> io::Result<()> {
        let _writing = CollectLock::shared(&self.state)?;
        let folder = self.folder(key);
        if !folder.exists() {
            return Ok(());
        }
        let mut number = 0;
        loop {
            let aside = self.cache().join(format!("{DAMAGED}{}-{number}", key.short()));
            if !aside.exists() {
                fs::rename(&folder, &aside)?;
                // Its age counts from now on.
                let now = std::time::SystemTime::from(clock::now_utc());
                return fs::File::open(aside)?.into_file().set_modified(now);
            }
            number += 1;
        }
    }

    /// Sets an entry aside that is still damaged, unless someone is computing its key.
    pub fn set_aside_damaged(&self, key: &Digest) -> io::Result<()> {
        match KeyLock::acquire_soon(&self.lock_file(key))? {
            Some(_held) => match self.find_any(key, Depth::WHOLE) {
                Lookup::Damaged(_) => self.set_aside(key),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Says whether an entry has lost its record, so that nothing can use it.
    pub fn is_ruined(&self, key: &Digest) -> bool {
        let folder = self.folder(key);
        // Only a missing file counts: a read error of the moment is no reason to remove a result.
        let lost = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        folder.is_dir() && fs::metadata(folder.join(DONE)).is_err_and(lost)
    }

    /// Takes the name from an entry and returns the folder to be removed. The caller holds
    /// [`CollectLock::alone`].
    pub fn doom(&self, key: &Digest) -> io::Result<PathBuf> {
        let doomed = self.cache().join(format!("{TEMPORARY}removed-{key}"));
        remove_if_there(&doomed)?;
        fs::rename(self.folder(key), &doomed)?;
        Ok(doomed)
    }

    /// Removes the files of an entry except the named ones. The entry is no longer a hit, but still
    /// reports the work. The caller holds the key's lock.
    pub fn strip(&self, key: &Digest, kept: &[&str]) -> io::Result<()> {
        let _writing = CollectLock::shared(&self.state)?;
        let Some(mut entry) = self.entry(key) else { return Ok(()) };
        let (left, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut entry.done.files)
            .into_iter()
            .partition(|(name, _)| kept.contains(&name.as_str()));
        entry.done.files = left;
        entry.done.is_stripped = true;
        // The record is written first: a kill in between leaves unnamed files, never a record of
        // removed ones. It is not flushed, because an entry without its files is no hit anyway.
        let mut files = AtomicFiles::new(&entry.folder);
        files.add(DONE, &sealed::seal(&entry.done)?)?;
        files.commit_unflushed()?;
        gone.keys().try_for_each(|name| fs::remove_file(entry.output().join(name)))
    }

    /// Waits for the right to compute a key. Returns `None` if `stop` returns true meanwhile.
    pub fn lock(
        &self,
        key: &Digest,
        waiting: impl FnOnce(),
        stop: impl Fn() -> bool,
    ) -> io::Result<Option<KeyLock>> {
        self.mark_folder()?;
        KeyLock::acquire(&self.lock_file(key), waiting, stop)
    }

    /// Returns the file whose lock is the right to compute a key.
    pub fn lock_file(&self, key: &Digest) -> PathBuf {
        self.state.join("locks").join(key.to_string())
    }

    /// Returns the folder for unfinished work on a key. The writer creates it.
    pub fn scratch(&self, key: &Digest) -> PathBuf {
        self.work().join(key.to_string())
    }

    /// Removes the unfinished work on a key.
    pub fn clear_scratch(&self, key: &Digest) -> io::Result<()> {
        remove_if_there(&self.scratch(key))
    }

    /// Lists the keys of all entries, including damaged ones, sorted.
    pub fn keys(&self) -> io::Result<Vec<Digest>> {
        Ok(names(&self.cache())?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Lists the folders that interrupted writers and damaged entries left in the cache.
    pub fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        let left = |name: &String| name.starts_with(DAMAGED) || name.starts_with(TEMPORARY);
        Ok(names(&self.cache())?
            .iter()
            .filter(|name| left(name))
            .map(|name| self.cache().join(name))
            .collect())
    }

    /// Lists the folders of unfinished work, with their keys.
    pub fn unfinished(&self) -> io::Result<Vec<(Digest, PathBuf)>> {
        let found = names(&self.work())?;
        Ok(found
            .iter()
            .filter_map(|name| Some((name.parse().ok()?, self.work().join(name))))
            .collect())
    }

    /// Returns the folder of a key's entry, whether it exists or not.
    pub fn folder(&self, key: &Digest) -> PathBuf {
        self.cache().join(key.to_string())
    }

    fn cache(&self) -> PathBuf {
        self.state.join("cache")
    }

    fn work(&self) -> PathBuf {
        self.state.join("work")
    }

    /// Keeps the folder out of version control, whatever the project's own rules are.
    fn mark_folder(&self) -> io::Result<()> {
        let ignore = self.state.join(".gitignore");
        if ignore.exists() {
            return Ok(());
        }
        let _writing = CollectLock::shared(&self.state)?;
        write_atomic(&ignore, b"*\n")
    }
}

/// An error while storing: from the stage or from the disk.
struct Stored(StageError);

impl From<io::Error> for Stored {
    fn from(error: io::Error) -> Stored {
        Stored(boxed(error))
    }
}

impl From<StageError> for Stored {
    fn from(error: StageError) -> Stored {
        Stored(error)
    }
}

/// Returns an I/O error as a stage's error.
pub fn boxed(error: io::Error) -> StageError {
    Box::new(crate::runner::error::RunError::Io(error))
}

/// Removes a folder if it exists.
pub fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Lists the names in a folder, sorted; none if there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Reads from the entry that `look` finds.
fn read<T>(
    look: impl Fn() -> Lookup,
    take: impl FnOnce(&Path) -> Result<T, StageError>,
) -> Result<T, Unread> {
    let failed = match look() {
        Lookup::Hit(entry) => match take(&entry.output()) {
            Ok(value) => return Ok(value),
            Err(error) => Unread::Failed(error),
        },
        Lookup::Miss => return Err(Unread::Lost(GONE.to_owned())),
        Lookup::Damaged(reason) => return Err(Unread::Lost(reason)),
        Lookup::Unreadable(error) => Unread::Failed(boxed(error)),
    };
    // Another process may have dropped a model after it was found and before it was read.
    Err(match look() {
        Lookup::Miss => Unread::Lost(GONE.to_owned()),
        Lookup::Damaged(reason) => Unread::Lost(reason),
        Lookup::Hit(_) | Lookup::Unreadable(_) => failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing::{Line, TestError};

    fn cache() -> Result<(tempfile::TempDir, Cache, Digest, KeyMaterial), TestError> {
        let folder = tempfile::tempdir()?;
        let cache = Cache::new(&Project { root: folder.path().to_owned() });
        let line = Line::new();
        let material = line.tasks(&[1]).all.remove(0).material;
        Ok((folder, cache, material.key(), material))
    }

    fn fill(folder: &Path) -> Result<(), StageError> {
        fs::create_dir(folder.join("deep")).map_err(boxed)?;
        fs::write(folder.join("deep/a.txt"), "one").map_err(boxed)?;
        fs::write(folder.join("b.txt"), "two").map_err(boxed)
    }

    #[test]
    fn an_entry_comes_back_with_its_material() -> Result<(), TestError> {
        let (_folder, cache, key, material) = cache()?;
        assert!(matches!(cache.find(&key, Depth::Sizes), Lookup::Miss));
        let stored =
            cache.store(&key, &material, Done::new(key, "data", "x.yaml", 1, 0.5), fill)?;
        let found = cache.entry(&key).ok_or("a hit")?;
        assert_eq!(found.done, stored.done);
        assert_eq!(found.done.files.keys().collect::<Vec<_>>(), ["b.txt", "deep/a.txt"]);
        assert_eq!(found.bytes(), 6);
        assert_eq!(found.material(), Some(material));
        assert_eq!(found.problems(Depth::WHOLE)?, Vec::<String>::new());
        assert_eq!(cache.keys()?, [key]);
        Ok(())
    }

    #[test]
    fn a_failed_write_leaves_no_entry() -> Result<(), TestError> {
        let (_folder, cache, key, material) = cache()?;
        let failed =
            cache.store(&key, &material, Done::new(key, "data", "x.yaml", 1, 0.5), |folder| {
                fs::write(folder.join("half"), "x").map_err(boxed)?;
                Err(boxed(io::Error::other("no space left")))
            });
        assert!(failed.is_err());
        assert!(matches!(cache.find(&key, Depth::Sizes), Lookup::Miss));
        assert_eq!(cache.leftovers()?, Vec::<PathBuf>::new());
        Ok(())
    }

    #[test]
    fn a_new_output_takes_the_place_of_the_old_one() -> Result<(), TestError> {
        let (_folder, cache, key, material) = cache()?;
        let about = || Done::new(key, "data", "x.yaml", 1, 0.5);
        cache.store(&key, &material, about(), fill)?;
        let failed =
            cache.store(&key, &material, about(), |_| Err(boxed(io::Error::other("full"))));
        assert!(failed.is_err() && cache.entry(&key).is_some_and(|entry| entry.bytes() == 6));
        cache.store(&key, &material, about(), |folder| {
            fs::write(folder.join("b.txt"), "other").map_err(boxed)
        })?;
        assert_eq!(cache.entry(&key).map(|entry| entry.bytes()), Some(5));
        assert_eq!(cache.leftovers()?, Vec::<PathBuf>::new());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_an_output() -> Result<(), TestError> {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, cache, key, material) = cache()?;
        let plain = tempfile::tempdir()?;
        fs::write(plain.path().join("file"), "x")?;
        let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode() & 0o777);
        let weights =
            crate::model::Weights::from([("a".to_owned(), ndarray::ArrayD::zeros(vec![2]))]);
        let entry =
            cache.store(&key, &material, Done::new(key, "data", "x.yaml", 1, 0.5), |folder| {
                crate::model::weights::write(folder, &weights, str::to_owned)
                    .map_err(|error| -> StageError { Box::new(error) })
            })?;
        assert_eq!(
            mode(&entry.output().join("model.safetensors"))?,
            mode(&plain.path().join("file"))?
        );
        Ok(())
    }

    #[test]
    fn damage_is_found_and_set_aside() -> Result<(), TestError> {
        let (_folder, cache, key, material) = cache()?;
        type Damage = fn(&Entry) -> io::Result<()>;
        let damage: [(&str, Damage); 4] = [
            ("`b.txt` has 1 bytes, expected 3", |entry| {
                fs::write(entry.output().join("b.txt"), "x")
            }),
            ("`deep/a.txt` is missing", |entry| fs::remove_file(entry.output().join("deep/a.txt"))),
            ("`done.json` is missing", |entry| fs::remove_file(entry.folder.join(DONE))),
            ("`done.json` cannot be read", |entry| fs::write(entry.folder.join(DONE), "{")),
        ];
        for (expected, apply) in damage {
            let entry =
                cache.store(&key, &material, Done::new(key, "data", "x.yaml", 1, 0.5), fill)?;
            apply(&entry)?;
            match cache.find(&key, Depth::Sizes) {
                Lookup::Damaged(reason) => assert!(reason.starts_with(expected), "{reason}"),
                other => return Err(format!("{expected}: {other:?}").into()),
            }
            cache.set_aside(&key)?;
            assert!(matches!(cache.find(&key, Depth::Sizes), Lookup::Miss));
        }
        assert_eq!(cache.leftovers()?.len(), 4);
        // Only digests find a change that keeps the size.
        let entry = cache.store(&key, &material, Done::new(key, "data", "x.yaml", 1, 0.5), fill)?;
        fs::write(entry.output().join("b.txt"), "twp")?;
        assert!(cache.entry(&key).is_some());
        assert_eq!(entry.problems(Depth::WHOLE)?.len(), 1);
        Ok(())
    }
}
