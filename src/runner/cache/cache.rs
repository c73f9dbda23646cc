//! The content-addressed outputs of stages: `.pipe/cache/<key>/` with `artifact/…`, `key.json` and
//! `done.json`.

use super::key::FORMAT;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::key::KeyMaterial;
use super::lock::KeyLock;
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::files::{AtomicFiles, replace_folder_atomic, write_atomic};
use crate::runner::project::Project;
use crate::stages::{Kind, StageError};

const OUTPUT: &str = "artifact";
const KEY: &str = "key.json";
const DONE: &str = "done.json";
const DAMAGED: &str = ".damaged-";
const TEMPORARY: &str = ".tmp-";

/// The outputs of stages by key, shared safely by any number of processes.
#[derive(Clone, Debug)]
pub struct Cache {
    state: PathBuf,
}

/// A finished output.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Digest,
    pub folder: PathBuf,
    pub done: Done,
}

/// The content of `done.json`, which describes a finished output. It is written last, so an entry
/// that has it is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub format: u32,
    /// The stage that first computed it, and in which pipeline file (relative to the project's
    /// root).
    pub stage: String,
    pub pipeline: String,
    pub seed: u64,
    pub created: String,
    /// The duration of the work.
    pub seconds: f64,
    /// The output's files by relative path.
    pub files: BTreeMap<String, FileRecord>,
    /// Whether only some of the files are left: enough to report the work, not to continue from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stripped: bool,
}

/// A file of an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    pub size: u64,
    pub digest: Digest,
}

/// The state of a key in the cache.
#[derive(Debug)]
pub enum Lookup {
    Hit(Entry),
    Miss,
    /// There is an unusable entry; the text is the reason.
    Damaged(String),
}

impl Entry {
    /// Returns the folder that the output was written to.
    pub fn output(&self) -> PathBuf {
        self.folder.join(OUTPUT)
    }

    /// Returns the size of the output's files together.
    pub fn bytes(&self) -> u64 {
        self.done.files.values().map(|file| file.size).sum()
    }

    /// Hashes every file again; returns one line for each damaged file.
    pub fn verify(&self) -> io::Result<Vec<String>> {
        let mut problems = Vec::new();
        for (name, record) in &self.done.files {
            let path = self.output().join(name);
            if !path.is_file() {
                problems.push(format!("`{}` is missing", path.display()));
                continue;
            }
            let found = Digest::of_file(&path)?;
            if found != record.digest {
                problems.push(format!(
                    "`{}` has digest {}, expected {}",
                    path.display(),
                    found.short(),
                    record.digest.short()
                ));
            }
        }
        Ok(problems)
    }

    /// Returns the material of the key.
    pub fn material(&self) -> Option<KeyMaterial> {
        serde_json::from_slice(&fs::read(self.folder.join(KEY)).ok()?).ok()
    }

    /// Checks names and sizes, which is cheap enough for every hit.
    fn check(&self) -> Result<(), String> {
        for (name, record) in &self.done.files {
            match fs::metadata(self.output().join(name)) {
                Ok(found) if found.len() == record.size => {}
                Ok(found) => {
                    return Err(format!(
                        "`{name}` has {} bytes, expected {}",
                        found.len(),
                        record.size
                    ));
                }
                Err(_) => return Err(format!("`{name}` is missing")),
            }
        }
        Ok(())
    }
}

impl Cache {
    /// Opens the cache of a project; nothing is written before the first output.
    pub fn new(project: &Project) -> Cache {
        Cache { state: project.state() }
    }

    /// Looks a key up and checks the file sizes of its entry. A stripped entry is no hit.
    pub fn find(&self, key: &Digest) -> Lookup {
        match self.find_any(key) {
            Lookup::Hit(entry) if entry.done.is_stripped => Lookup::Miss,
            found => found,
        }
    }

    /// Returns the remaining entry of a key, whole or stripped.
    pub fn remains(&self, key: &Digest) -> Option<Entry> {
        match self.find_any(key) {
            Lookup::Hit(entry) => Some(entry),
            Lookup::Miss | Lookup::Damaged(_) => None,
        }
    }

    fn find_any(&self, key: &Digest) -> Lookup {
        let folder = self.folder(key);
        if !folder.is_dir() {
            return Lookup::Miss;
        }
        let done: Done = match fs::read(folder.join(DONE))
            .map(|bytes| serde_json::from_slice(&bytes))
        {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return Lookup::Damaged(format!("`{DONE}` cannot be read: {error}")),
            Err(_) => return Lookup::Damaged(format!("`{DONE}` is missing")),
        };
        if done.format != FORMAT {
            return Lookup::Damaged(format!("it has format {}, expected {FORMAT}", done.format));
        }
        let entry = Entry { key: *key, folder, done };
        match entry.check() {
            Ok(()) => Lookup::Hit(entry),
            Err(reason) => Lookup::Damaged(reason),
        }
    }

    /// Returns the entry of a key if it is whole.
    pub fn entry(&self, key: &Digest) -> Option<Entry> {
        match self.find(key) {
            Lookup::Hit(entry) => Some(entry),
            Lookup::Miss | Lookup::Damaged(_) => None,
        }
    }

    /// Returns the entry of an output whose records are read: one that was stripped to them will
    /// do.
    pub fn records(&self, kind: Kind, key: &Digest) -> Option<Entry> {
        if kind.may_be_stripped() { self.remains(key) } else { self.entry(key) }
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
        let mut done = about;
        replace_folder_atomic::<Stored>(&self.folder(key), |folder| {
            let output = folder.join(OUTPUT);
            fs::create_dir(&output)?;
            write(&output)?;
            done.files = records(&output)?;
            // All files are flushed together before the folder gets its name.
            fs::write(folder.join(KEY), json(material)?)?;
            fs::write(folder.join(DONE), json(&done)?)?;
            Ok(())
        })
        .map_err(|stored| stored.0)?;
        Ok(Entry { key: *key, folder: self.folder(key), done })
    }

    /// Sets an entry aside, where `gc` finds it.
    pub fn set_aside(&self, key: &Digest) -> io::Result<()> {
        let folder = self.folder(key);
        if !folder.exists() {
            return Ok(());
        }
        let mut number = 0;
        loop {
            let aside = self.cache().join(format!("{DAMAGED}{}-{number}", key.short()));
            if !aside.exists() {
                return fs::rename(&folder, aside);
            }
            number += 1;
        }
    }

    /// Removes an entry: first its name, then its files. The caller holds the key's lock.
    pub fn remove(&self, key: &Digest) -> io::Result<()> {
        let folder = self.folder(key);
        if !folder.exists() {
            return Ok(());
        }
        let doomed = self.cache().join(format!("{TEMPORARY}removed-{key}"));
        remove_if_there(&doomed)?;
        fs::rename(&folder, &doomed)?;
        fs::remove_dir_all(&doomed)
    }

    /// Removes the files of an entry except the named ones. The entry is no longer a hit, but still
    /// reports the work. The caller holds the key's lock.
    pub fn strip(&self, key: &Digest, kept: &[&str]) -> io::Result<()> {
        let Some(mut entry) = self.entry(key) else { return Ok(()) };
        let (left, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut entry.done.files)
            .into_iter()
            .partition(|(name, _)| kept.contains(&name.as_str()));
        entry.done.files = left;
        entry.done.is_stripped = true;
        // The record is written first: a kill in between leaves unnamed files, never a record of
        // removed ones. It is not flushed, because an entry without its files is no hit anyway.
        let mut files = AtomicFiles::new(&entry.folder);
        files.add(DONE, &json(&entry.done)?)?;
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

    /// Takes the right to compute a key unless another process is at it.
    pub fn lock_unless_used(&self, key: &Digest) -> io::Result<Option<KeyLock>> {
        self.mark_folder()?;
        KeyLock::acquire_soon(&self.lock_file(key))
    }

    fn lock_file(&self, key: &Digest) -> PathBuf {
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

    /// Returns whether the entry of a key was never finished or has lost its record, so that no run
    /// can use it.
    pub fn is_ruined(&self, key: &Digest) -> bool {
        let folder = self.folder(key);
        // Only a missing file counts: a temporary read error is no reason to remove a result.
        let lost = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        folder.is_dir() && fs::metadata(folder.join(DONE)).is_err_and(lost)
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
        if ignore.exists() { Ok(()) } else { write_atomic(&ignore, b"*\n") }
    }
}

impl Done {
    /// Describes an output that is about to be stored.
    pub fn new(stage: &str, pipeline: &str, seed: u64, seconds: f64) -> Done {
        Done {
            format: FORMAT,
            stage: stage.to_owned(),
            pipeline: pipeline.to_owned(),
            seed,
            created: clock::text(clock::now_utc()),
            seconds,
            files: BTreeMap::new(),
            is_stripped: false,
        }
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

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
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

/// Hashes every file below a folder.
fn records(folder: &Path) -> io::Result<BTreeMap<String, FileRecord>> {
    let mut records = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let record =
                FileRecord { size: fs::metadata(&path)?.len(), digest: Digest::of_file(&path)? };
            records.insert(name, record);
        }
    }
    Ok(records)
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
        assert!(matches!(cache.find(&key), Lookup::Miss));
        let stored = cache.store(&key, &material, Done::new("data", "x.yaml", 1, 0.5), fill)?;
        let found = cache.entry(&key).ok_or("a hit")?;
        assert_eq!(found.done, stored.done);
        assert_eq!(found.done.files.keys().collect::<Vec<_>>(), ["b.txt", "deep/a.txt"]);
        assert_eq!(found.bytes(), 6);
        assert_eq!(found.material(), Some(material));
        assert_eq!(found.verify()?, Vec::<String>::new());
        assert_eq!(cache.keys()?, [key]);
        Ok(())
    }

    #[test]
    fn a_failed_write_leaves_no_entry() -> Result<(), TestError> {
        let (_folder, cache, key, material) = cache()?;
        let failed = cache.store(&key, &material, Done::new("data", "x.yaml", 1, 0.5), |folder| {
            fs::write(folder.join("half"), "x").map_err(boxed)?;
            Err(boxed(io::Error::other("no space left")))
        });
        assert!(failed.is_err());
        assert!(matches!(cache.find(&key), Lookup::Miss));
        assert_eq!(cache.leftovers()?, Vec::<PathBuf>::new());
        Ok(())
    }

    #[test]
    fn a_new_output_takes_the_place_of_the_old_one() -> Result<(), TestError> {
        let (_folder, cache, key, material) = cache()?;
        let about = || Done::new("data", "x.yaml", 1, 0.5);
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
            cache.store(&key, &material, Done::new("data", "x.yaml", 1, 0.5), |folder| {
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
            let entry = cache.store(&key, &material, Done::new("data", "x.yaml", 1, 0.5), fill)?;
            apply(&entry)?;
            match cache.find(&key) {
                Lookup::Damaged(reason) => assert!(reason.starts_with(expected), "{reason}"),
                other => return Err(format!("{expected}: {other:?}").into()),
            }
            cache.set_aside(&key)?;
            assert!(matches!(cache.find(&key), Lookup::Miss));
        }
        assert_eq!(cache.leftovers()?.len(), 4);
        // Only digests find a change that keeps the size.
        let entry = cache.store(&key, &material, Done::new("data", "x.yaml", 1, 0.5), fill)?;
        fs::write(entry.output().join("b.txt"), "twp")?;
        assert!(cache.entry(&key).is_some());
        assert_eq!(entry.verify()?.len(), 1);
        Ok(())
    }
}
