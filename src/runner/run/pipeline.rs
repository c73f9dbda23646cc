//! What the runner needs of a pipeline file.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::Value;

use crate::pipeline::Spec;

/// The properties of a pipeline that the runner needs besides its stages.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The pipeline file.
    pub path: PathBuf,
    /// The folder that its relative paths start from.
    pub folder: PathBuf,
    pub name: String,
    /// The parameters, for the `param.*` columns.
    pub params: IndexMap<String, Value>,
    /// The file as it was read, and with all defaults filled in.
    pub source: String,
    pub resolved: String,
}

impl Pipeline {
    /// Takes the needed properties from a pipeline file.
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
