//! From a [`Spec`] to a checked plan: missing stages, cycles, wrong kinds and every stage's own checks.

use crate::spec::{Spec, SpecError};
use crate::stages::{Fact, StageConfig, StageId};

/// A checked pipeline in an order in which every stage comes after its inputs; among those that could come next, the file's order decides.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// A stage with its place in the plan.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: StageId,
    pub config: StageConfig,
    /// In the order of [`crate::stages::Stage::inputs`].
    pub inputs: Vec<StepInput>,
    /// What is known of the output.
    pub fact: Fact,
}

/// An edge of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInput {
    /// The field that names the stage.
    pub field: &'static str,
    /// The index of the step that gives the input; smaller than that of the step itself.
    pub step: usize,
}

/// Checks a pipeline; on failure returns every problem, each with its place in the file.
pub fn plan(_spec: &Spec) -> Result<Plan, SpecError> {
    unimplemented!()
}

impl Plan {
    /// Returns the plan cut to one stage and what it needs; `None` where there is no such stage.
    pub fn until(&self, _stage: &StageId) -> Option<Plan> {
        unimplemented!()
    }
}
