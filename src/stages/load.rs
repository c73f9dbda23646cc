//! The stage `load`: reads labelled texts and splits them.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact::Artifact;
use super::stage::{CheckError, Ctx, DataFact, External, Fact, Inputs, Port, Stage, StageError};

/// Reads labelled texts (CSV, TSV, JSON lines or Parquet) and splits them into train, dev and test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The file, relative to the pipeline file. Its ending says the format: csv, tsv, jsonl, parquet.
    #[serde(default)]
    pub path: Option<String>,
}

impl Stage for Load {
    fn code_version(&self) -> u32 {
        1
    }
    fn inputs(&self) -> Vec<Port<'_>> {
        Vec::new()
    }
    fn check(&self, _inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        Ok(Fact::Data(DataFact { has_dev: true, has_test: true, augmented: false }))
    }
    fn externals(&self, _folder: &Path) -> Result<Vec<External>, StageError> {
        Ok(Vec::new())
    }
    fn uses_seed(&self) -> bool {
        true
    }
    fn uses_runtime(&self) -> bool {
        false
    }
    fn run(&self, _ctx: &dyn Ctx, _inputs: &Inputs) -> Result<Artifact, StageError> {
        unimplemented!()
    }
}
