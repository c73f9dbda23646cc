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
    /// What the rate of a layer is times that of the layer above.
    pub layer_decay: Option<f64>,
}

/// The weight decay of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    pub weight_decay: f64,
    /// Whether biases and norms decay too.
    pub all: bool,
}

impl Rates {
    /// Returns the learning rate of a parameter in a network of so many layers. What is neither of
    /// a layer nor of the head lies below the layers.
    pub(super) fn of(self, marks: Marks, layers: usize) -> f64 {
        if marks.head {
            return self.head.unwrap_or(self.all);
        }
        let Some(decay) = self.layer_decay else { return self.all };
        // One multiplication for each layer, as the rates are computed from the top.
        let above = marks.layer.map_or(layers + 1, |layer| layers.saturating_sub(layer));
        (0..above).fold(self.all, |rate, _| rate * decay)
    }
}

impl Decay {
    /// Returns the weight decay of a parameter.
    pub(super) fn of(self, marks: Marks) -> f32 {
        if self.all || !marks.no_decay { self.weight_decay as f32 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Recorded {
        rates: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        layers: usize,
        rate: f64,
        decay: f64,
        groups: Vec<(String, f64)>,
    }

    /// As the reference has them (tests/record_stability.py).
    #[test]
    fn rates_fall_from_layer_to_layer() -> Result<(), Box<dyn std::error::Error>> {
        let recorded = include_str!("../../../../tests/data/stability.json");
        let Recorded { rates } = serde_json::from_str(recorded)?;
        for Case { layers, rate, decay, groups } in rates {
            let rates = Rates { all: rate, head: None, layer_decay: Some(decay) };
            assert_eq!(groups.len(), layers + 2);
            for (name, expected) in groups {
                let layer = name.strip_prefix("layer.").map(str::parse).transpose()?;
                let marks = Marks { head: name == "head", layer, ..Marks::default() };
                let found = rates.of(marks, layers);
                assert!((found / expected - 1.0).abs() < 1e-12, "{name}: {found} {expected}");
            }
            let own = Rates { head: Some(1.0), ..rates };
            assert_eq!(own.of(Marks { head: true, ..Marks::default() }, layers), 1.0);
        }
        Ok(())
    }
}
