//! The optimizer of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::sgd::Sgd;
use crate::engine::{Graph, OptimizerConfig, ParameterGroup};
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
    pub(in crate::stages) fn check(&self, problems: &mut Problems) {
        match self {
            Optimizer::Adamw(settings) => settings.check(problems),
            Optimizer::Sgd(settings) => settings.check(problems),
        }
    }

    /// Returns the optimizer with a learning rate where none is given.
    pub(in crate::stages) fn at_rate(self, default: f64) -> Optimizer {
        self.at_rates((default, None))
    }

    /// Returns the optimizer with a learning rate, and perhaps another of the head, where none is
    /// given.
    pub(in crate::stages::train) fn at_rates(
        mut self,
        (all, head): (f64, Option<f64>),
    ) -> Optimizer {
        if let Optimizer::Adamw(settings) = &mut self
            && settings.learning_rate.is_none()
        {
            settings.learning_rate = Some(all);
            settings.head_learning_rate = settings.head_learning_rate.or(head);
        }
        self
    }

    /// Returns the learning rate before the schedule.
    pub(in crate::stages) fn learning_rate(&self) -> f64 {
        match self {
            Optimizer::Adamw(settings) => settings.rate(),
            Optimizer::Sgd(settings) => settings.learning_rate,
        }
    }

    /// Says whether layers have rates of their own.
    pub(in crate::stages::train) fn has_layer_decay(&self) -> bool {
        matches!(self, Optimizer::Adamw(settings) if settings.layer_decay.is_some())
    }

    /// Returns the engine's optimizer for the trained parameters of a graph, in groups of one
    /// learning rate and one weight decay. What is below the head may be pulled towards its first
    /// values, which takes the place of its weight decay.
    pub(in crate::stages::train) fn of_engine(
        &self,
        (gradient_clip, pull): (Option<f32>, f32),
        graph: &Graph,
        trainable: &[String],
    ) -> OptimizerConfig {
        let (update, rates, decay) = match self {
            Optimizer::Adamw(settings) => settings.of_engine(),
            Optimizer::Sgd(settings) => settings.of_engine(),
        };
        let layer_of = |(name, _): (&str, _)| graph.marks(name).layer;
        let layers = graph.parameters().filter_map(layer_of).max().map_or(0, |top| top + 1);
        let mut groups: Vec<ParameterGroup> = Vec::new();
        for name in trainable {
            let marks = graph.marks(name);
            let learning_rate = rates.of(marks, layers);
            let (pull, weight_decay) = match marks.head || pull == 0.0 {
                true => (0.0, decay.of(marks)),
                false => (pull, 0.0),
            };
            let same = |group: &&mut ParameterGroup| {
                (group.learning_rate, group.weight_decay, group.pull)
                    == (learning_rate, weight_decay, pull)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.parameters.push(name.clone()),
                None => {
                    let parameters = vec![name.clone()];
                    groups.push(ParameterGroup { parameters, learning_rate, weight_decay, pull });
                }
            }
        }
        OptimizerConfig { update, gradient_clip, groups }
    }
}
