//! PyTorch's ReduceLROnPlateau.

use serde::{Deserialize, Serialize};

use super::config::{PlateauMode, ReduceOnPlateau, ThresholdMode};

/// The state of a plateau schedule; `step` is called once per epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    pub learning_rate: f64,
    /// `None` before the first value that is better than the worst.
    best: Option<f64>,
    bad_epochs: u32,
    cooldown_left: u32,
}

impl Plateau {
    /// Starts with a learning rate.
    pub fn new(learning_rate: f64) -> Plateau {
        Plateau { learning_rate, best: None, bad_epochs: 0, cooldown_left: 0 }
    }

    /// Takes an epoch's value and returns whether the learning rate was reduced. A value that is not a number is a bad one.
    pub fn step(&mut self, settings: &ReduceOnPlateau, value: f64) -> bool {
        if self.is_better(settings, value) {
            self.best = Some(value);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.cooldown_left > 0 {
            self.cooldown_left -= 1;
            self.bad_epochs = 0;
        }
        if self.bad_epochs <= settings.patience {
            return false;
        }
        self.cooldown_left = settings.cooldown;
        self.bad_epochs = 0;
        let reduced = (self.learning_rate * settings.factor).max(settings.min_learning_rate);
        if self.learning_rate - reduced > settings.epsilon {
            self.learning_rate = reduced;
            return true;
        }
        false
    }

    fn is_better(&self, settings: &ReduceOnPlateau, value: f64) -> bool {
        // PyTorch starts from the worst value there is, so that a first loss of infinity is a bad epoch.
        let worst = match settings.mode {
            PlateauMode::Min => f64::INFINITY,
            PlateauMode::Max => f64::NEG_INFINITY,
        };
        let best = self.best.unwrap_or(worst);
        match (settings.mode, settings.threshold_mode) {
            (PlateauMode::Min, ThresholdMode::Rel) => value < best * (1.0 - settings.threshold),
            (PlateauMode::Min, ThresholdMode::Abs) => value < best - settings.threshold,
            (PlateauMode::Max, ThresholdMode::Rel) => value > best * (1.0 + settings.threshold),
            (PlateauMode::Max, ThresholdMode::Abs) => value > best + settings.threshold,
        }
    }
}
