//! A pipeline as the program sees it.

use std::path::PathBuf;

use indexmap::IndexMap;

use crate::stages::{StageConfig, StageId};

/// A pipeline: the file, overridden, interpolated and typed.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The pipeline file.
    pub path: PathBuf,
    /// What relative paths in it start from: the file's folder.
    pub folder: PathBuf,
    pub name: String,
    pub seed: u64,
    /// The parameters after overrides, for the `param.*` columns: dotted keys below `params`.
    pub params: IndexMap<String, serde_json::Value>,
    pub stages: IndexMap<StageId, StageConfig>,
    /// The file as it was read.
    pub source: String,
}

impl Spec {
    /// Returns the place of a value by its dotted key from the top of the file (`stages.tuned.train.epochs`), or of the nearest key above it that the file has.
    pub fn locate(&self, _key: &str) -> Option<super::Location> {
        unimplemented!()
    }

    /// Returns the resolved pipeline (overridden, interpolated, defaults filled in) as YAML that `load` reads back to the same spec.
    pub fn resolved(&self) -> String {
        unimplemented!()
    }
}
