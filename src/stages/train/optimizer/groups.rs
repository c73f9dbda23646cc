//! The learning rate and weight decay of each parameter.

use std::sync::Arc;

use crate::engine::{Marks, Update};

/// What an optimizer's settings come to: the rule, and the settings of its parameter groups.
pub(super) type OfEngine = (Arc<dyn Update>, Rates, Decay);

/// The learning rates of a network, before the schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub all: f64,
    pub head: Option<f64>,
}

/// The weight decay of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    pub weight_decay: f64,
    /// Whether biases and norms decay too.
    pub all: bool,
}

impl Rates {
    /// Returns the learning rate of a parameter.
    pub(super) fn of(self, marks: Marks) -> f64 {
        self.head.filter(|_| marks.head).unwrap_or(self.all)
    }
}

impl Decay {
    /// Returns the weight decay of a parameter.
    pub(super) fn of(self, marks: Marks) -> f32 {
        if self.all || !marks.no_decay { self.weight_decay as f32 } else { 0.0 }
    }
}
