//! A sweep and its pipeline: mismatches between the two, and the pipeline of each trial.

use serde_json::Value;

use super::plan::{Plan, finish};
use crate::pipeline::{Draft, Override, Problem, Spec, SpecError};
use crate::search::Point;
use crate::search::config::check::Parameters;
use crate::search::config::{Metric, Sweep};
use crate::stages::{Epochs, StageId};

/// The number of values of a parameter that are tried beforehand.
const MAX_EXAMPLES: usize = 50;

/// Tries the values of every parameter, one parameter at a time, and returns the problems.
pub(super) fn check_values(spec: &Spec, sweep: &Sweep) -> Vec<Problem> {
    let Ok(parameters) = sweep.check() else { return Vec::new() };
    let mut problems = Vec::new();
    let epochs_of = |plan: &Plan| sweep.metric.as_ref().and_then(|metric| max_epochs(plan, metric));
    // Trials that are compared at the same epochs must have the same number of epochs.
    let own = sweep.min_epochs().and_then(|_| Draft::trial(spec, &[]).and_then(finish).ok());
    let epochs = own.and_then(|(_, plan)| epochs_of(&plan));
    for (axis, key) in parameters.keys.iter().enumerate() {
        let needed = conditions(&parameters, axis);
        for value in parameters.domains[axis].examples().iter().take(MAX_EXAMPLES) {
            let mut values = needed.clone();
            values.push(Override::set(key, value));
            let at = |message: String| {
                spec.problem_at(["sweep", "parameters", key].into_iter(), message)
            };
            match Draft::trial(spec, &values).and_then(finish) {
                Ok((_, plan)) if epochs.is_none() || epochs_of(&plan) == epochs => {}
                Ok(_) => {
                    let hint = "a method that ends trainings early compares them by epochs; leave \
                                this parameter out, or choose another method";
                    let message = format!(
                        "with `{value}`, the number of epochs differs from the one in the file"
                    );
                    problems.push(at(message).hint(hint));
                    break;
                }
                Err(error) => {
                    let about = error.problems().first();
                    let message = about.map_or_else(String::new, |problem| problem.message.clone());
                    let hint = about.and_then(|problem| problem.hint.clone());
                    problems.push(at(format!("with `{value}`: {message}")).maybe_hint(hint));
                    break;
                }
            }
        }
    }
    problems
}

/// Returns the values of a trial by key, for the parameters that exist at its point.
pub fn values(parameters: &Parameters, point: &Point) -> Vec<(String, Value)> {
    let there = parameters.keys.iter().zip(&parameters.domains).zip(point);
    there
        .filter_map(|((key, domain), place)| Some((key.clone(), domain.value((*place)?))))
        .collect()
}

/// Reads the pipeline with the values of a trial.
pub fn open(spec: &Spec, values: &[(String, Value)]) -> Result<(Spec, Plan), SpecError> {
    let overrides: Vec<Override> =
        values.iter().map(|(key, value)| Override::set(key, value)).collect();
    finish(Draft::trial(spec, &overrides)?)
}

/// Returns the length in epochs of the longest training behind a figure.
pub fn max_epochs(plan: &Plan, metric: &Metric) -> Option<u32> {
    let (stage, _) = metric.parts()?;
    let needed = plan.until(&StageId(stage.to_owned()))?;
    let epochs = needed.steps.iter().filter_map(|step| match step.config.stage().epochs() {
        Some(Epochs::Fixed(epochs)) => Some(epochs),
        Some(Epochs::Budget) | None => None,
    });
    epochs.max()
}

/// Returns the plan with trainings that pause after `epochs`, cut to the stages that a figure
/// needs.
pub fn paused(plan: &Plan, metric: &Metric, epochs: u32) -> Option<Plan> {
    let (stage, _) = metric.parts()?;
    let mut plan = plan.until(&StageId(stage.to_owned()))?;
    for step in &mut plan.steps {
        step.config.stage_mut().pause_at(epochs);
    }
    Some(plan)
}

/// Returns values of other parameters for which one exists.
fn conditions(parameters: &Parameters, axis: usize) -> Vec<Override> {
    let mut needed = Vec::new();
    let mut current = axis;
    while let Some(condition) =
        parameters.space.axes.get(current).and_then(|axis| axis.condition.as_ref())
    {
        let place = condition.values.first().copied().unwrap_or(0) as f64;
        let value = parameters.domains[condition.axis].value(place);
        needed.push(Override::set(&parameters.keys[condition.axis], &value));
        current = condition.axis;
    }
    needed
}
