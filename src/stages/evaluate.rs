//! The stage `evaluate`: predicts one split with a trained model.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact::{Artifact, Evaluation, Split, TrainedModel};
use super::stage::{CheckError, Ctx, Fact, Inputs, Kind, Port, Stage, StageError, StageId};

/// Predicts one split with a trained model and computes every metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The stage that gives the trained model.
    pub model: StageId,
    /// The stage that gives the data set.
    pub data: StageId,
    /// The split to predict.
    #[serde(default = "default_split")]
    pub split: Split,
}

fn default_split() -> Split {
    Split::Test
}

impl Stage for Evaluate {
    fn code_version(&self) -> u32 {
        1
    }
    fn inputs(&self) -> Vec<Port<'_>> {
        vec![
            Port { field: "model", stage: &self.model, expects: Kind::Model },
            Port { field: "data", stage: &self.data, expects: Kind::Data },
        ]
    }
    fn check(&self, _inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        Ok(Fact::Scores)
    }
    fn uses_seed(&self) -> bool {
        false
    }
    fn uses_runtime(&self) -> bool {
        true
    }
    fn run(&self, _ctx: &dyn Ctx, _inputs: &Inputs) -> Result<Artifact, StageError> {
        unimplemented!()
    }
}

impl Evaluation {
    /// Writes `predictions.parquet` and `evaluation.json` into `folder`.
    pub fn write(&self, _folder: &Path) -> Result<(), StageError> {
        unimplemented!()
    }

    /// Reads what [`Evaluation::write`] wrote.
    pub fn read(_folder: &Path) -> Result<Evaluation, StageError> {
        unimplemented!()
    }
}

impl TrainedModel {
    /// Writes the Hugging Face folder, `training.json` and `curves.parquet` into `folder`.
    pub fn write(&self, _folder: &Path) -> Result<(), StageError> {
        unimplemented!()
    }

    /// Reads what [`TrainedModel::write`] wrote.
    pub fn read(_folder: &Path) -> Result<TrainedModel, StageError> {
        unimplemented!()
    }
}
