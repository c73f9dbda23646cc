//! Early stopping and the best checkpoint, both by a dev metric.

use serde::{Deserialize, Serialize};

use super::config::{EarlyStopping, Metric};
use super::objective::DevMetrics;

impl DevMetrics {
    /// Returns a metric, turned so that more is better.
    fn goodness(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Loss => -self.loss,
            Metric::Accuracy => self.accuracy,
            Metric::MacroF1 => self.macro_f1,
        }
    }
}

/// The best value of a metric so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    best: Option<f64>,
    /// The epoch (from 1) of the best value.
    pub best_epoch: Option<u32>,
    bad_epochs: u32,
}

impl Watch {
    /// Takes an epoch's metrics and returns whether they are better than any before by more than
    /// `min_delta`. The first of equals wins.
    pub fn improves(
        &mut self,
        metric: Metric,
        min_delta: f64,
        epoch: u32,
        dev: &DevMetrics,
    ) -> bool {
        let value = dev.goodness(metric);
        let better = !value.is_nan() && self.best.is_none_or(|best| value > best + min_delta);
        if better {
            (self.best, self.best_epoch, self.bad_epochs) = (Some(value), Some(epoch), 0);
        } else {
            self.bad_epochs += 1;
        }
        better
    }

    /// Takes an epoch's metrics and returns whether training should stop.
    pub fn stops(&mut self, settings: &EarlyStopping, epoch: u32, dev: &DevMetrics) -> bool {
        self.improves(settings.metric, settings.min_delta, epoch, dev);
        self.bad_epochs >= settings.patience.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_after_patience_epochs_without_improvement() {
        let settings = EarlyStopping { metric: Metric::Loss, patience: 2, min_delta: 0.1 };
        let mut watch = Watch::default();
        let losses = [1.0, 0.8, 0.75, f64::NAN];
        let stops: Vec<bool> = losses
            .iter()
            .enumerate()
            .map(|(epoch, &loss)| {
                watch.stops(
                    &settings,
                    epoch as u32 + 1,
                    &DevMetrics { loss, accuracy: 0.0, macro_f1: 0.0 },
                )
            })
            .collect();
        assert_eq!(stops, [false, false, false, true]);
        assert_eq!(watch.best_epoch, Some(2));
    }
}
