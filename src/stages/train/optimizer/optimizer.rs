//! The optimizer of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::sgd::Sgd;
use crate::engine::{Algorithm, Group, OptimizerConfig};
use crate::model::freeze::{is_head, is_spared_from_decay};
use crate::stages::train::problems::Problems;

/// The optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// AdamW with decoupled weight decay and bias correction (Loshchilov & Hutter 2019).
    Adamw(AdamW),
    /// Stochastic gradient descent with momentum.
    Sgd(Sgd),
}

impl Default for Optimizer {
    fn default() -> Optimizer {
        Optimizer::Adamw(AdamW::default())
    }
}

impl Optimizer {
    /// Reports settings that no training can be done with.
    pub(in crate::stages::train) fn check(&self, problems: &mut Problems) {
        match self {
            Optimizer::Adamw(settings) => settings.check(problems),
            Optimizer::Sgd(settings) => settings.check(problems),
        }
    }

    /// Returns the learning rate before the schedule.
    pub(in crate::stages::train) fn learning_rate(&self) -> f64 {
        match self {
            Optimizer::Adamw(settings) => settings.learning_rate,
            Optimizer::Sgd(settings) => settings.learning_rate,
        }
    }

    /// Returns the engine's optimizer for the trained parameters.
    pub(in crate::stages::train) fn of_engine(
        &self,
        gradient_clip: Option<f32>,
        trainable: &[String],
    ) -> OptimizerConfig {
        let (algorithm, weight_decay, decay_all, head_rate) = match self {
            Optimizer::Adamw(s) => {
                let algorithm =
                    Algorithm::AdamW { beta1: s.betas[0], beta2: s.betas[1], epsilon: s.epsilon };
                (algorithm, s.weight_decay, s.decay_all, s.head_learning_rate)
            }
            Optimizer::Sgd(s) => (
                Algorithm::Sgd { momentum: s.momentum },
                s.weight_decay,
                s.decay_all,
                s.head_learning_rate,
            ),
        };
        let head_factor = head_rate.map_or(1.0, |rate| rate / self.learning_rate()) as f32;
        let groups = trainable
            .iter()
            .map(|name| Group {
                weight_decay: if decay_all || !is_spared_from_decay(name) {
                    weight_decay as f32
                } else {
                    0.0
                },
                rate_factor: if is_head(name) { head_factor } else { 1.0 },
            })
            .collect();
        OptimizerConfig { algorithm, gradient_clip, groups }
    }
}
