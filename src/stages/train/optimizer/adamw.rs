//! AdamW.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{Decay, OfEngine, Rates};
use crate::stages::train::problems::Problems;

/// AdamW's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// The step size η, before the schedule. Default: that of `adapters` where there are some, else
    /// that of the training's method; 5e-5 of `fine_tune`.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// The learning rate of the classification head, if it should differ.
    #[serde(default)]
    pub head_learning_rate: Option<f64>,
    /// Layer-wise decay ξ (Zhang et al. 2021): the top layer learns at η·ξ, each layer below at ξ
    /// times the rate of the one above, and the embeddings at ξ times that of the lowest. The head
    /// and a pooler learn at their own rate. 0.95 suits 12 layers, 0.9 suits 6. Curves show the
    /// lowest rate. Default: one rate for all layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f64>,
    /// The weight decay λ. Biases and LayerNorm are exempt unless `decay_all` is set.
    #[serde(default = "default_weight_decay")]
    pub weight_decay: f64,
    /// Applies the decay to biases and LayerNorm too.
    #[serde(default)]
    pub decay_all: bool,
    /// The decay rates β₁ and β₂ of the moments.
    #[serde(default = "default_betas")]
    pub betas: [f64; 2],
    /// The ε that is added to the square root of the second moment.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW {
            learning_rate: None,
            head_learning_rate: None,
            layer_decay: None,
            weight_decay: default_weight_decay(),
            decay_all: false,
            betas: default_betas(),
            epsilon: default_epsilon(),
        }
    }
}

impl AdamW {
    /// Returns the learning rate before the schedule.
    pub(in crate::stages::train) fn rate(&self) -> f64 {
        self.learning_rate.unwrap_or(DEFAULT_LEARNING_RATE)
    }

    /// Returns the rule of the update, and the settings of its parameter groups.
    pub(super) fn of_engine(&self) -> OfEngine {
        let update = crate::engine::AdamW {
            beta1: self.betas[0],
            beta2: self.betas[1],
            epsilon: self.epsilon,
        };
        let (all, head, layer_decay) = (self.rate(), self.head_learning_rate, self.layer_decay);
        let rates = Rates { all, head, layer_decay };
        let decay = Decay { weight_decay: self.weight_decay, all: self.decay_all };
        (Arc::new(update), rates, decay)
    }

    /// Reports settings that no training can be done with.
    pub(in crate::stages) fn check(&self, problems: &mut Problems) {
        problems.positive("optimizer.adamw.learning_rate", self.rate());
        if let Some(rate) = self.head_learning_rate {
            problems.positive("optimizer.adamw.head_learning_rate", rate);
        }
        if let Some(decay) = self.layer_decay {
            let field = "optimizer.adamw.layer_decay";
            problems.positive(field, decay);
            problems.share(field, decay, true);
        }
        problems.not_negative("optimizer.adamw.weight_decay", self.weight_decay);
        for (index, beta) in self.betas.into_iter().enumerate() {
            problems.share(&format!("optimizer.adamw.betas.{index}"), beta, false);
        }
        problems.positive("optimizer.adamw.epsilon", self.epsilon);
    }
}

/// The learning rate of a method that has none of its own.
pub(in crate::stages::train) const DEFAULT_LEARNING_RATE: f64 = 5e-5;

fn default_weight_decay() -> f64 {
    0.01
}
fn default_betas() -> [f64; 2] {
    [0.9, 0.999]
}
fn default_epsilon() -> f64 {
    1e-8
}
