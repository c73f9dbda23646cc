//! The weights that a training keeps where they are averages over its steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Problems;

/// Weights that are averaged over steps. Dev is predicted with the weights of the last step, and
/// the averages are kept. A step that was left out counts with the weights as they were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// The moving average w̄ ← βw̄ + (1 − β)w after each step; it begins with the weights before
    /// the first.
    Ema(Ema),
    /// The mean of the weights after each of the last steps, which are this share of all (as
    /// Izmailov et al. 2018 take it of epochs).
    Last(f64),
}

/// The moving average's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    /// What the old average counts.
    #[serde(default)]
    pub decay: EmaDecay,
}

/// What the old average counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmaDecay {
    /// β = 1 − 1/(0.1 · steps): about the last tenth of the steps counts.
    #[default]
    Auto,
    /// This share β.
    Given(f64),
}

impl Average {
    /// Returns what the weights after a step (from 1) count in the average, of so many steps in
    /// all; `None` where they count nothing.
    pub(super) fn share(&self, step: u64, steps: u64) -> Option<f32> {
        match self {
            Average::Ema(Ema { decay: EmaDecay::Given(decay) }) => Some((1.0 - decay) as f32),
            Average::Ema(Ema { decay: EmaDecay::Auto }) => {
                Some((1.0 / (0.1 * steps as f64)).min(1.0) as f32)
            }
            Average::Last(share) => {
                let averaged = ((share * steps as f64).round() as u64).clamp(1, steps.max(1));
                let before = steps.saturating_sub(averaged);
                (step > before).then(|| 1.0 / (step - before) as f32)
            }
        }
    }

    /// Says whether the weights before the first step count.
    pub(super) fn begins_at_once(&self) -> bool {
        matches!(self, Average::Ema(_))
    }

    /// Reports settings that no training can be done with, and those that choose among epochs by
    /// the weights that are not kept.
    pub(super) fn check(&self, chosen: &[(&str, bool)], problems: &mut Problems) {
        match self {
            Average::Ema(Ema { decay: EmaDecay::Given(decay) }) => {
                problems.share("average.ema.decay.given", *decay, false);
            }
            Average::Ema(Ema { decay: EmaDecay::Auto }) => {}
            Average::Last(share) => {
                problems.positive("average.last", *share);
                problems.share("average.last", *share, true);
            }
        }
        for (field, _) in chosen.iter().filter(|(_, given)| *given) {
            problems.add(
                field,
                "dev is predicted with the weights of a step, but `average` keeps those of many"
                    .to_owned(),
                "leave one of them out",
            );
        }
    }
}

/// Moves averages towards values by the share that the values count.
pub(super) fn follow(averages: &mut [f32], values: &[f32], share: f32) {
    if share >= 1.0 {
        averages.copy_from_slice(values);
        return;
    }
    for (average, value) in averages.iter_mut().zip(values) {
        *average += (value - *average) * share;
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Recorded {
        averages: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        steps: u64,
        decay: Option<f64>,
        last: Option<f64>,
        /// Before the first step, then after each.
        weights: Vec<Vec<f32>>,
        average: Vec<f32>,
    }

    /// As PyTorch's `AveragedModel` has them (tests/record_stability.py).
    #[test]
    fn averages_are_pytorchs() -> Result<(), Box<dyn std::error::Error>> {
        let recorded = include_str!("../../../tests/data/stability.json");
        let Recorded { averages } = serde_json::from_str(recorded)?;
        for Case { steps, decay, last, weights, average: expected } in averages {
            let ema = |decay| Average::Ema(Ema { decay });
            let rule = match (decay, last) {
                // 1 − 1/(0.1 · 40)
                (Some(0.75), _) => ema(EmaDecay::Auto),
                (Some(decay), _) => ema(EmaDecay::Given(decay)),
                (None, last) => Average::Last(last.unwrap_or_default() / steps as f64),
            };
            let mut averages = weights[0].clone();
            for (step, values) in (1..).zip(&weights[1..]) {
                if let Some(share) = rule.share(step, steps) {
                    follow(&mut averages, values, share);
                }
            }
            for (found, expected) in averages.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-6, "{rule:?}: {averages:?}, {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn short_trainings_have_averages_too() {
        let auto = Average::Ema(Ema::default());
        assert_eq!(auto.share(1, 5), Some(1.0), "the weights of the last step alone");
        assert_eq!(Average::Last(0.01).share(5, 5), Some(1.0), "at least one step counts");
        assert_eq!(Average::Last(0.01).share(4, 5), None);
        assert_eq!(Average::Last(1.0).share(2, 5), Some(0.5), "each step counts");
    }
}
