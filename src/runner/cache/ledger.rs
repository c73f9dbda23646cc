//! The last key material of every stage of a pipeline file, so that a change can be named.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::key::{FORMAT, KeyMaterial};
use super::lock::CollectLock;
use crate::base::digest::Digest;
use crate::base::files::write_atomic;
use crate::base::sealed;
use crate::runner::project::Project;

/// The key material of the last output of each stage of one pipeline file, by stage and seed.
///
/// It is kept in `.pipe/last/`, one file per pipeline file. It serves explanations only, so losing
/// it does no other harm.
#[derive(Debug)]
pub struct Ledger {
    state: PathBuf,
    path: PathBuf,
    record: Record,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    format: u32,
    pipeline: String,
    stages: BTreeMap<String, BTreeMap<u64, Last>>,
}

/// The last material of a stage for a seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Last {
    pub key: Digest,
    pub material: KeyMaterial,
}

impl Ledger {
    /// Reads the ledger of a pipeline file (relative to the project's root). A missing or damaged
    /// ledger, or one of another format, counts as empty.
    pub fn read(project: &Project, pipeline: &str) -> Ledger {
        let name = format!("{}.json", Digest::of(pipeline.as_bytes()));
        let path = project.state().join("last").join(name);
        let read = || -> Option<Record> { sealed::open(&fs::read(&path).ok()?).ok() };
        let record = read().filter(|record| record.format == FORMAT).unwrap_or_else(|| Record {
            format: FORMAT,
            pipeline: pipeline.to_owned(),
            stages: BTreeMap::new(),
        });
        Ledger { state: project.state(), path, record }
    }

    /// Returns the last material of a stage for a seed.
    pub fn last(&self, stage: &str, seed: u64) -> Option<&Last> {
        self.record.stages.get(stage)?.get(&seed)
    }

    /// Returns whether a stage has ever produced an output, for any seed.
    pub fn knows(&self, stage: &str) -> bool {
        self.record.stages.contains_key(stage)
    }

    /// Records the current material of a stage.
    pub fn set(&mut self, stage: &str, seed: u64, key: Digest, material: &KeyMaterial) {
        let last = Last { key, material: material.clone() };
        self.record.stages.entry(stage.to_owned()).or_default().insert(seed, last);
    }

    /// Writes the ledger.
    pub fn write(&self) -> io::Result<()> {
        let _writing = CollectLock::shared(&self.state)?;
        write_atomic(&self.path, &sealed::seal(&self.record)?)
    }
}
