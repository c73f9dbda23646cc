//! Stochastic gradient descent with momentum.

use super::update::{Operands, Update};
use crate::engine::graph::fact::ShapeError;
use crate::engine::graph::graph::{Graph, Var};
use crate::engine::graph::loss_scale::Scaled;

/// SGD with momentum, PyTorch's form: b ← μb + g + λθ, θ ← θ − ηb.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    pub momentum: f64,
}

impl Update for Sgd {
    fn states(&self) -> usize {
        1
    }

    fn corrections_of_taken(&self, _: &mut Graph, _: &Scaled) -> Result<Var, ShapeError> {
        Err(ShapeError("SGD has no corrections".to_owned()))
    }

    fn graph(&self, g: &mut Graph, operands: &Operands<'_>) -> Result<Vec<Var>, ShapeError> {
        let &Operands { parameter, gradient, scale, learning_rate, weight_decay, .. } = operands;
        let &[buffer] = operands.states else {
            return Err(ShapeError("SGD has one buffer".to_owned()));
        };
        let gradient = g.mul(gradient, scale)?;
        let weight_decay = g.scalar(weight_decay);
        // The parameter is read twice here; the copy keeps the update from writing over what the
        // penalty still reads.
        let penalty = g.mul(parameter, weight_decay)?;
        let gradient = g.add(gradient, penalty)?;
        let momentum = g.scalar(self.momentum as f32);
        let kept = g.mul(buffer, momentum)?;
        let buffer = g.add(kept, gradient)?;
        let step = g.mul(buffer, learning_rate)?;
        Ok(vec![g.sub(parameter, step)?, buffer])
    }

    /// Lets the penalty gather momentum.
    fn decay_unused_rows(
        &self,
        learning_rates: &[Option<f64>],
        weight_decay: f32,
        values: &mut [f32],
        show: &mut dyn FnMut(usize, &[f32]),
    ) {
        let mut buffers = vec![0.0; values.len()];
        for (place, rate) in learning_rates.iter().enumerate() {
            if let Some(rate) = rate {
                for (value, buffer) in values.iter_mut().zip(&mut buffers) {
                    *buffer = *buffer * self.momentum as f32 + *value * weight_decay;
                    *value -= *buffer * *rate as f32;
                }
            }
            show(place, values);
        }
    }
}
