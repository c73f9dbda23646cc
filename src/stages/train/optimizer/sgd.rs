//! Stochastic gradient descent with momentum.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{Decay, OfEngine, Rates};
use crate::stages::train::problems::Problems;

/// SGD's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// The step size, before the schedule.
    pub learning_rate: f64,
    /// The learning rate of the classification head, if it should differ.
    #[serde(default)]
    pub head_learning_rate: Option<f64>,
    /// The momentum: the share of the last step that is kept.
    #[serde(default)]
    pub momentum: f64,
    /// The L2 penalty, added to the gradient. Biases and LayerNorm are exempt unless `decay_all` is
    /// set.
    #[serde(default)]
    pub weight_decay: f64,
    /// Applies the decay to biases and LayerNorm too.
    #[serde(default)]
    pub decay_all: bool,
}

impl Sgd {
    /// Returns the rule of the update, and the settings of its parameter groups.
    pub(super) fn of_engine(&self) -> OfEngine {
        let update = crate::engine::Sgd { momentum: self.momentum };
        let (all, head) = (self.learning_rate, self.head_learning_rate);
        let rates = Rates { all, head, layer_decay: None };
        let decay = Decay { weight_decay: self.weight_decay, all: self.decay_all };
        (Arc::new(update), rates, decay)
    }

    /// Reports settings that no training can be done with.
    pub(in crate::stages) fn check(&self, problems: &mut Problems) {
        problems.positive("optimizer.sgd.learning_rate", self.learning_rate);
        if let Some(rate) = self.head_learning_rate {
            problems.positive("optimizer.sgd.head_learning_rate", rate);
        }
        problems.share("optimizer.sgd.momentum", self.momentum, false);
        problems.not_negative("optimizer.sgd.weight_decay", self.weight_decay);
    }
}
