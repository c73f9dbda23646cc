//! A stage as the runner sees it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::base::report::Report;
use crate::base::secrets::Secrets;
use crate::dag::plan::{Plan, StepInput};
use crate::engine::Device;
use crate::runner::error::RunError;
use crate::stages::{External, Kind, Stage, StageError};

/// A stage of the plan. The runner sees stages only through their trait, so that tests can use
/// others.
pub struct Job<'a> {
    /// The stage's id.
    pub id: String,
    /// The name of the kind in the pipeline file.
    pub kind_name: &'a str,
    pub stage: &'a dyn Stage,
    /// The whole typed configuration with defaults filled in, so that its spelling in the file does
    /// not matter. It has digests in place of the values of environment variables.
    pub config: Value,
    /// The values of environment variables that the pipeline uses.
    pub secrets: Secrets,
    /// Those of this stage alone, for what it keeps: others are not in its key.
    pub own_secrets: Secrets,
    /// Indices of earlier jobs, by field.
    pub inputs: Vec<StepInput>,
    /// The kind of the stage's output.
    pub output: Kind,
}

impl Job<'_> {
    /// Says whether the runtime, the device and the number of threads can change the output.
    pub fn uses_runtime(&self) -> bool {
        self.stage.runtime_needs().is_some()
    }

    /// Returns the device that the stage's configuration names, in place of the run's.
    pub fn device(&self) -> Option<Device> {
        self.stage.runtime_needs()?.device
    }

    /// Returns the stages that give the inputs, by field; `jobs` are all of the plan.
    pub fn inputs_by_field(&self, jobs: &[Job<'_>]) -> BTreeMap<String, String> {
        let named = self
            .inputs
            .iter()
            .filter_map(|input| Some((input.field.to_owned(), jobs.get(input.step)?.id.clone())));
        named.collect()
    }

    /// Lists the files and models that the job depends on besides its configuration and inputs. See
    /// [`Stage::externals`].
    pub fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let mut found = self.stage.externals(folder, fetch)?;
        for external in &mut found {
            external.name = self.own_secrets.hide(&external.name).into_owned();
        }
        Ok(found)
    }

    /// Names the field of the configuration that only says where the work pauses, where it is set.
    pub fn pauses(&self) -> Option<&'static str> {
        self.stage.runtime_needs()?.pauses
    }
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
            let config = step.secrets.digested(config);
            Ok(Job {
                id: step.id.to_string(),
                kind_name,
                stage: step.config.stage(),
                config,
                own_secrets: step.secrets.own.clone(),
                secrets: step.secrets.values.clone(),
                inputs: step.inputs.clone(),
                output: step.config.output(),
            })
        })
        .collect()
}
