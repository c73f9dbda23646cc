//! The work of `train`.

use super::config::Train;
use crate::stages::artifact::Artifact;
use crate::stages::stage::{CheckError, Ctx, Fact, Inputs, Kind, Port, Stage, StageError};

impl Stage for Train {
    fn code_version(&self) -> u32 {
        1
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        vec![Port { field: "data", stage: &self.data, expects: Kind::Data }]
    }

    fn check(&self, _inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        Ok(Fact::Model)
    }

    fn uses_seed(&self) -> bool {
        true
    }

    fn uses_runtime(&self) -> bool {
        true
    }

    fn run(&self, _ctx: &dyn Ctx, _inputs: &Inputs) -> Result<Artifact, StageError> {
        unimplemented!("comes with the engine")
    }
}
