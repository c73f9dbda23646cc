//! A stage as the runner sees it.

use serde_json::Value;

use crate::dag::plan::{Plan, StepInput};
use crate::runner::error::RunError;
use crate::stages::{Kind, Stage};

/// A stage of the plan. The runner sees stages only through their trait, so that tests can use
/// others.
pub struct Job<'a> {
    /// The stage's id.
    pub id: String,
    /// The name of the kind in the pipeline file.
    pub kind_name: &'a str,
    pub stage: &'a dyn Stage,
    /// The whole typed configuration with defaults filled in, so that its spelling in the file does
    /// not matter.
    pub config: Value,
    /// Indices of earlier jobs, by field.
    pub inputs: Vec<StepInput>,
    /// The kind of the stage's output.
    pub output: Kind,
}

/// Returns the plan's stages in its order.
pub fn jobs(plan: &Plan) -> Result<Vec<Job<'_>>, RunError> {
    plan.steps
        .iter()
        .map(|step| {
            let kind_name = step.config.kind_name();
            let mut tagged = serde_json::to_value(&step.config).map_err(|error| {
                RunError::Config { stage: step.id.to_string(), reason: error.to_string() }
            })?;
            // The enum writes `{ "train": { … } }`.
            let config = tagged.get_mut(kind_name).map(Value::take).unwrap_or(tagged);
            Ok(Job {
                id: step.id.to_string(),
                kind_name,
                stage: step.config.stage(),
                config,
                inputs: step.inputs.clone(),
                output: step.fact.kind(),
            })
        })
        .collect()
}
