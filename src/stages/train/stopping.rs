//! Early stopping and the best checkpoint, both by a dev metric, and their settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::objective::DevMetric;
use super::problems::Problems;
use crate::stages::contract::stage::DataFact;

/// Stops when a dev metric no longer improves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// The dev metric.
    #[serde(default)]
    pub metric: DevMetric,
    /// The number of epochs without improvement after which training stops.
    #[serde(default = "default_stopping_patience")]
    pub patience: u32,
    /// The smallest change that counts as an improvement.
    #[serde(default)]
    pub min_delta: f64,
}

impl EarlyStopping {
    /// Reports settings that no training can be done with.
    pub(super) fn check(&self, data: &DataFact, problems: &mut Problems) {
        problems.wants_dev("early_stopping", data);
        problems.not_negative("early_stopping.min_delta", self.min_delta);
    }
}

/// The best score so far, and its epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    score: Option<f64>,
    /// From 1.
    pub epoch: Option<u32>,
}

impl BestEpoch {
    /// Takes an epoch's score, of which more is better, and returns whether it is better than any
    /// before by more than `min_delta`. The first of equals wins, and a score that is not a number
    /// never does.
    pub fn improves(&mut self, epoch: u32, score: f64, min_delta: f64) -> bool {
        let better = !score.is_nan() && self.score.is_none_or(|best| score > best + min_delta);
        if better {
            (self.score, self.epoch) = (Some(score), Some(epoch));
        }
        better
    }
}

/// The epochs that have gone by without improvement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    best: BestEpoch,
    bad_epochs: u32,
}

impl Patience {
    /// Takes an epoch's score, of which more is better, and returns whether training should stop.
    pub fn ends(&mut self, settings: &EarlyStopping, epoch: u32, score: f64) -> bool {
        if self.best.improves(epoch, score, settings.min_delta) {
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        self.bad_epochs >= settings.patience.max(1)
    }
}

fn default_stopping_patience() -> u32 {
    3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_after_patience_epochs_without_improvement() {
        let settings = EarlyStopping { metric: DevMetric::LOSS, patience: 2, min_delta: 0.1 };
        let mut patience = Patience::default();
        let losses = [1.0, 0.8, 0.75, f64::NAN];
        let ends: Vec<bool> = (1..)
            .zip(losses)
            .map(|(epoch, loss): (u32, f64)| patience.ends(&settings, epoch, -loss))
            .collect();
        assert_eq!(ends, [false, false, false, true]);
        assert_eq!(patience.best.epoch, Some(2));
    }
}
