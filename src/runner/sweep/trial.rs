//! One trial: its values and its pipeline.

use indexmap::IndexMap;
use serde_json::Value;

use crate::dag::plan::{Plan, Step};
use crate::dag::trials;
use crate::results::results::display_param;
use crate::search::config::Metric;

/// A point of the search space with its pipeline.
#[derive(Debug)]
pub(super) struct Trial {
    /// From 0.
    pub number: usize,
    /// The values by key.
    pub values: Vec<(String, Value)>,
    /// The pipeline of the trial, or the reason why it cannot run.
    pub body: Result<Body, String>,
}

/// The pipeline of a trial.
#[derive(Debug)]
pub(in crate::runner) struct Body {
    /// The `param.*` columns: the file's parameters, and swept keys elsewhere in the file.
    pub params: IndexMap<String, Value>,
    pub plan: Plan,
}

impl Trial {
    /// Returns the values in readable form: `params.learning_rate=2e-5 params.shots=8`.
    pub(super) fn label(&self) -> String {
        let values: Vec<String> = self
            .values
            .iter()
            .map(|(key, value)| format!("{key}={}", display_param(value)))
            .collect();
        values.join(" ")
    }
}

/// Returns a file's parameters with a trial's values. A swept parameter is one column whatever its
/// value, and swept keys elsewhere in the file count as parameters too.
pub(super) fn with_values(
    mut params: IndexMap<String, Value>,
    values: &[(String, Value)],
) -> IndexMap<String, Value> {
    for (key, value) in values {
        let name = key.strip_prefix("params.").unwrap_or(key);
        if !params.contains_key(name) {
            // A map fills several columns unless it is swept as a whole.
            let below = format!("{name}.");
            params.retain(|known, _| !known.starts_with(&below));
        }
        params.insert(name.to_owned(), value.clone());
    }
    params
}

impl Body {
    /// Returns the plan of a request: all evaluations or, if training pauses, only the stages that
    /// the figure needs.
    pub(in crate::runner) fn plan(&self, metric: Option<&Metric>, epochs: Option<u32>) -> Plan {
        let named = metric.and_then(Metric::parts).map(|(stage, _)| stage);
        let paused = epochs
            .zip(metric)
            .and_then(|(epochs, metric)| trials::paused(&self.plan, metric, epochs));
        let is_wanted =
            |step: &Step| step.config.output().has_scores() || Some(step.id.0.as_str()) == named;
        paused.unwrap_or_else(|| self.plan.for_stages(is_wanted))
    }
}
