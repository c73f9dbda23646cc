//! Learning rate schedules by step, with the definitions of `transformers`, and their settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plateau::ReduceOnPlateau;
use super::problems::Problems;
use crate::stages::contract::stage::DataFact;

/// The learning rate schedule over the steps of a run. `warmup` is the share of all steps over
/// which the rate rises from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays constant after the warm-up.
    Constant(Warmup),
    /// Falls linearly to 0.
    Linear(Warmup),
    /// Falls to 0 along half a cosine.
    Cosine(Warmup),
    /// Falls as a power of the remaining share of steps.
    Polynomial(Polynomial),
    /// Falls by a factor when a metric stops improving (PyTorch's ReduceLROnPlateau).
    ReduceOnPlateau(ReduceOnPlateau),
    /// The optimizer's learning rate, unchanged.
    #[default]
    None,
}

/// The warm-up of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// The share of all steps, from 0 to 1, over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup: f64,
}

/// The polynomial schedule's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Polynomial {
    /// The share of all steps, from 0 to 1, over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup: f64,
    /// The exponent of the remaining share of steps.
    #[serde(default = "default_power")]
    pub power: f64,
    /// The final learning rate, as a share of the initial one.
    #[serde(default)]
    pub end: f64,
}

impl Schedule {
    /// Reports settings that no training can be done with.
    pub(in crate::stages) fn check(&self, data: &DataFact, problems: &mut Problems) {
        let mut warmup = |name: &str, warmup: f64| {
            problems.share(&format!("schedule.{name}.warmup"), warmup, true);
        };
        match self {
            Schedule::None => {}
            Schedule::Constant(settings) => warmup("constant", settings.warmup),
            Schedule::Linear(settings) => warmup("linear", settings.warmup),
            Schedule::Cosine(settings) => warmup("cosine", settings.warmup),
            Schedule::Polynomial(settings) => {
                warmup("polynomial", settings.warmup);
                problems.positive("schedule.polynomial.power", settings.power);
                problems.share("schedule.polynomial.end", settings.end, true);
            }
            Schedule::ReduceOnPlateau(settings) => settings.check(data, problems),
        }
    }
}

/// Returns what the learning rate is multiplied with at step `step` (from 0) of `total`.
///
/// The warm-up takes ⌈share · total⌉ steps and starts at 0, as in
/// `transformers.get_*_schedule_with_warmup`. A plateau schedule has no factor of its own here; see
/// [`super::plateau`].
pub fn factor(schedule: &Schedule, step: u64, total: u64) -> f64 {
    let share = match schedule {
        Schedule::Constant(settings) | Schedule::Linear(settings) | Schedule::Cosine(settings) => {
            settings.warmup
        }
        Schedule::Polynomial(settings) => settings.warmup,
        Schedule::None | Schedule::ReduceOnPlateau(_) => return 1.0,
    };
    let warmup = (share * total as f64).ceil() as u64;
    if step < warmup {
        return step as f64 / warmup.max(1) as f64;
    }
    let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    match schedule {
        Schedule::Linear(_) => (1.0 - progress).max(0.0),
        Schedule::Cosine(_) => (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0),
        Schedule::Polynomial(settings) => {
            if progress > 1.0 {
                settings.end
            } else {
                (1.0 - settings.end) * (1.0 - progress).powf(settings.power) + settings.end
            }
        }
        Schedule::Constant(_) | Schedule::None | Schedule::ReduceOnPlateau(_) => 1.0,
    }
}

fn default_power() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The learning rates that the schedules of `transformers` gave; tests/record_schedules.py
    /// recorded them.
    const RECORDED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/schedules.json"));

    #[test]
    fn learning_rates_are_those_of_transformers() {
        let recorded: Value = serde_json::from_str(RECORDED).expect("recorded figures");
        let cases = recorded["cases"].as_array().expect("cases");
        assert!(cases.len() > 10);
        for case in cases {
            let number = |name: &str| case[name].as_f64().expect("a number");
            let (rate, total) = (number("learning_rate"), number("steps") as u64);
            let warmup = number("warmup_steps") / number("steps");
            let schedule = match case["schedule"].as_str() {
                Some("constant") => Schedule::Constant(Warmup { warmup }),
                Some("linear") => Schedule::Linear(Warmup { warmup }),
                Some("cosine") => Schedule::Cosine(Warmup { warmup }),
                Some("polynomial") => Schedule::Polynomial(Polynomial {
                    warmup,
                    power: number("power"),
                    end: number("end"),
                }),
                other => panic!("an unknown schedule {other:?}"),
            };
            let rates = case["rates"].as_array().expect("rates");
            assert_eq!(rates.len() as u64, total);
            for (step, expected) in rates.iter().enumerate() {
                let (found, expected) = (
                    rate * factor(&schedule, step as u64, total),
                    expected.as_f64().expect("a rate"),
                );
                assert!(
                    (found - expected).abs() <= 1e-12 * expected.abs().max(1e-3 * rate),
                    "{schedule:?}, step {step} of {total}: expected {expected}, found {found}"
                );
            }
        }
    }

    #[test]
    fn without_a_schedule_the_rate_stays() {
        for step in 0..3 {
            assert_eq!(factor(&Schedule::None, step, 3), 1.0);
        }
    }
}
