//! A finished output and its record, `done.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::key::{FORMAT, KeyMaterial};
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::memo;
use crate::base::sealed::{self, Broken};

pub(super) const OUTPUT: &str = "artifact";
pub(super) const KEY: &str = "key.json";
pub(super) const DONE: &str = "done.json";

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
    /// The key, so that the record of another output is not taken for this one's. Records of
    /// earlier versions have none, and no seal.
    #[serde(default)]
    pub key: Option<Digest>,
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
    /// There is an entry, and the system does not let its files be read.
    Unreadable(io::Error),
}

impl Lookup {
    /// Returns the entry of a hit.
    pub fn hit(self) -> Option<Entry> {
        match self {
            Lookup::Hit(entry) => Some(entry),
            Lookup::Miss | Lookup::Damaged(_) | Lookup::Unreadable(_) => None,
        }
    }
}

/// The reason why there is no hit.
enum Unusable {
    Damaged(String),
    Unreadable(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Unusable {
        Unusable::Unreadable(error)
    }
}

/// How closely an output is looked at before it counts as whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Names and sizes, which is cheap enough for outputs that nothing reads.
    Sizes,
    /// The digests of some files too; of all if none is named.
    Digests(&'static [&'static str]),
}

impl Depth {
    /// The digests of all files.
    pub const WHOLE: Depth = Depth::Digests(&[]);
}

impl Done {
    /// Describes an output that is about to be stored.
    pub fn new(key: Digest, stage: &str, pipeline: &str, seed: u64, seconds: f64) -> Done {
        Done {
            format: FORMAT,
            key: Some(key),
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

impl Entry {
    /// Reads the record of the entry in a folder, and looks at its files.
    pub(super) fn look(key: &Digest, folder: PathBuf, depth: Depth) -> Lookup {
        if !folder.is_dir() {
            return Lookup::Miss;
        }
        match Entry::open(key, folder).and_then(|entry| {
            let problem = entry.problems(depth)?.into_iter().next();
            problem.map_or(Ok(entry), |problem| Err(Unusable::Damaged(problem)))
        }) {
            Ok(entry) => Lookup::Hit(entry),
            Err(Unusable::Damaged(reason)) => Lookup::Damaged(reason),
            Err(Unusable::Unreadable(error)) => Lookup::Unreadable(error),
        }
    }

    fn open(key: &Digest, folder: PathBuf) -> Result<Entry, Unusable> {
        let damaged = |reason: String| Err(Unusable::Damaged(reason));
        let bytes = match fs::read(folder.join(DONE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return damaged(format!("`{DONE}` is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        let done: Done = match read(&bytes, |done: &Done| done.key.is_none()) {
            Ok(done) => done,
            Err(error) => return damaged(format!("`{DONE}` cannot be read: {error}")),
        };
        if done.format != FORMAT {
            return damaged(format!("it has format {}, expected {FORMAT}", done.format));
        }
        if let Some(other) = done.key.filter(|other| other != key) {
            return damaged(format!("`{DONE}` is the one of output {}", other.short()));
        }
        Ok(Entry { key: *key, folder, done })
    }

    /// Returns the folder that the output was written to.
    pub fn output(&self) -> PathBuf {
        self.folder.join(OUTPUT)
    }

    /// Returns the size of the output's files together.
    pub fn bytes(&self) -> u64 {
        self.done.files.values().map(|file| file.size).sum()
    }

    /// Returns the material of the key; `None` where its file is missing or gives another key.
    pub fn material(&self) -> Option<KeyMaterial> {
        // The key itself shows what has changed.
        let material = read(&fs::read(self.folder.join(KEY)).ok()?, |_: &KeyMaterial| true).ok()?;
        (material.key() == self.key).then_some(material)
    }

    /// Returns one line for each way in which the entry differs from what was stored.
    ///
    /// # Errors
    ///
    /// Fails where a file is there and cannot be read, which is no damage.
    pub fn problems(&self, depth: Depth) -> io::Result<Vec<String>> {
        let is_read = |name: &str| match depth {
            Depth::Sizes => false,
            Depth::Digests(names) => names.is_empty() || names.contains(&name),
        };
        let mut problems = Vec::new();
        if depth == Depth::WHOLE && self.material().is_none() {
            problems.push(format!("`{KEY}` is missing, or has changed since it was written"));
        }
        for (name, record) in &self.done.files {
            let path = self.output().join(name);
            match fs::metadata(&path) {
                Ok(found) if found.len() != record.size => problems.push(format!(
                    "`{name}` has {} bytes, expected {}",
                    found.len(),
                    record.size
                )),
                Ok(_) if !is_read(name) => {}
                Ok(_) => {
                    let found = memo::digest_of_shared(&path)?;
                    if found != record.digest {
                        problems.push(format!(
                            "`{name}` has digest {}, expected {}",
                            found.short(),
                            record.digest.short()
                        ));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    problems.push(format!("`{name}` is missing"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(problems)
    }
}

/// Reads a record; one without a seal only where `is_old` says that it is of an earlier version.
fn read<T: DeserializeOwned>(bytes: &[u8], is_old: impl FnOnce(&T) -> bool) -> Result<T, Broken> {
    match sealed::open(bytes) {
        Err(Broken::Unsealed) => {
            let record = serde_json::from_slice(bytes);
            let record = record.map_err(|error| Broken::Json(error.to_string()))?;
            if is_old(&record) { Ok(record) } else { Err(Broken::Changed) }
        }
        read => read,
    }
}

/// Hashes every file below a folder.
pub(super) fn records(folder: &Path) -> io::Result<BTreeMap<String, FileRecord>> {
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
            let record = FileRecord {
                size: fs::metadata(&path)?.len(),
                digest: memo::digest_of_shared(&path)?,
            };
            records.insert(name, record);
        }
    }
    Ok(records)
}
