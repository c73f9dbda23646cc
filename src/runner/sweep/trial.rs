//! One trial: its values and its pipeline.

use indexmap::IndexMap;
use serde_json::Value;

use crate::dag::plan::{Plan, Step};
use crate::dag::trials;
use crate::results::results::display_param;
use crate::search::config::Metric;

/// A choice of values for the parameters.
#[derive(Debug)]
pub(super) struct Trial {
    /// From 0.
    pub number: usize,
    /// The values by key.
    pub values: Vec<(String, Value)>,
    /// What runs, or why nothing can.
    pub body: Result<Body, String>,
}

/// What runs.
#[derive(Debug)]
pub(super) struct Body {
    /// For the `param.*` columns: the file's parameters, and keys elsewhere in the file that are
    /// swept.
    pub params: IndexMap<String, Value>,
    pub plan: Plan,
}

impl Trial {
    /// Returns the values for people: `params.learning_rate=2e-5 params.shots=8`.
    pub(super) fn label(&self) -> String {
        let values: Vec<String> = self
            .values
            .iter()
            .map(|(key, value)| format!("{key}={}", display_param(value)))
            .collect();
        values.join(" ")
    }
}

/// Returns a file's parameters with a trial's values in place: a swept one is one column whatever
/// it holds, and keys elsewhere in the file are parameters too.
pub(super) fn with_values(
    mut params: IndexMap<String, Value>,
    values: &[(String, Value)],
) -> IndexMap<String, Value> {
    for (key, value) in values {
        let name = key.strip_prefix("params.").unwrap_or(key);
        if !params.contains_key(name) {
            // A map lies in several columns unless it is swept as a whole.
            let below = format!("{name}.");
            params.retain(|known, _| !known.starts_with(&below));
        }
        params.insert(name.to_owned(), value.clone());
    }
    params
}

impl Body {
    /// Returns the plan of a piece of work: all that is evaluated, or, where training pauses, what
    /// the figure needs.
    pub(super) fn plan(&self, metric: Option<&Metric>, epochs: Option<u32>) -> Plan {
        let named = metric.and_then(Metric::parts).map(|(stage, _)| stage);
        let paused = epochs
            .zip(metric)
            .and_then(|(epochs, metric)| trials::paused(&self.plan, metric, epochs));
        let is_wanted =
            |step: &Step| step.config.output().has_scores() || Some(step.id.0.as_str()) == named;
        paused.unwrap_or_else(|| self.plan.for_stages(is_wanted))
    }
}
