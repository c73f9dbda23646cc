//! What the runner needs of a pipeline file.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::Value;

use crate::pipeline::Spec;

/// What the runner needs of a pipeline besides its stages.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The pipeline file.
    pub path: PathBuf,
    /// What relative paths in it start from.
    pub folder: PathBuf,
    pub name: String,
    /// The parameters, for the `param.*` columns.
    pub params: IndexMap<String, Value>,
    /// The file as it was read, and with everything filled in.
    pub source: String,
    pub resolved: String,
}

impl Pipeline {
    /// Takes what the runner needs from a pipeline file.
    pub fn of(spec: &Spec) -> Pipeline {
        Pipeline {
            path: spec.path.clone(),
            folder: spec.folder.clone(),
            name: spec.name.clone(),
            params: spec.params.clone(),
            source: spec.source.clone(),
            resolved: spec.resolved(),
        }
    }
}
