//! The work of `augment`: runs the methods over train and keeps the parents' ids.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stages::artifact::Artifact;
use crate::stages::stage::{CheckError, Ctx, Fact, Inputs, Kind, Port, Stage, StageError, StageId};

/// Adds generated texts to train; dev and test pass through untouched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// The stage that gives the data set.
    pub data: StageId,
}

impl Stage for Augment {
    fn code_version(&self) -> u32 {
        1
    }
    fn inputs(&self) -> Vec<Port<'_>> {
        vec![Port { field: "data", stage: &self.data, expects: Kind::Data }]
    }
    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        Ok(inputs[0].clone())
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
