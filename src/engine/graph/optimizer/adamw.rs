//! AdamW: decoupled weight decay (Loshchilov & Hutter 2019).

use super::update::{Operands, Update};
use crate::engine::graph::fact::{DType, ShapeError, TensorFact};
use crate::engine::graph::graph::{Constant, Graph, Kernels, Var};
use crate::engine::graph::loss_scale::Scaled;
use crate::engine::graph::op::contract::{AttributeValue, DOMAIN, Op, required};

/// AdamW (Loshchilov & Hutter 2019) with bias correction, in PyTorch's order of operations.
///
/// As an operator it is one step in one pass over memory. Inputs: parameter, gradient, moments m
/// and v, scale of the gradient `[1]`, learning rate `[1]`, weight decay `[1]`, corrections `[2]`:
/// 1 − β₁ᵗ, √(1 − β₂ᵗ). Outputs: parameter, m, v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
}

impl Default for AdamW {
    /// PyTorch's values.
    fn default() -> AdamW {
        AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Op for AdamW {
    fn domain(&self) -> &'static str {
        DOMAIN
    }

    fn name(&self) -> &'static str {
        "AdamW"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![
            ("beta2", AttributeValue::Float(self.beta2 as f32)),
            ("rise1", AttributeValue::Float((1.0 - self.beta1) as f32)),
            ("rise2", AttributeValue::Float((1.0 - self.beta2) as f32)),
            ("epsilon", AttributeValue::Float(self.epsilon as f32)),
        ]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [parameter, _, _, _, _, _, _, _] = required(inputs)?;
        Ok(vec![parameter.clone(); 3])
    }
}

impl Update for AdamW {
    fn states(&self) -> usize {
        2
    }

    fn corrections(&self, step: u64) -> Vec<f32> {
        let power = |beta: f64| beta.powf(step as f64);
        vec![(1.0 - power(self.beta1)) as f32, (1.0 - power(self.beta2)).sqrt() as f32]
    }

    fn corrections_of_taken(&self, g: &mut Graph, scaled: &Scaled) -> Result<Var, ShapeError> {
        let correction1 = scaled.correction(g, self.beta1)?;
        let correction2 = scaled.correction(g, self.beta2)?;
        let root2 = g.sqrt(correction2)?;
        let (correction1, root2) = (g.cast(correction1, DType::F32)?, g.cast(root2, DType::F32)?);
        g.concat(&[correction1, root2], 0)
    }

    fn graph(&self, g: &mut Graph, operands: &Operands<'_>) -> Result<Vec<Var>, ShapeError> {
        let &Operands { parameter, gradient, scale, learning_rate, weight_decay, .. } = operands;
        let (&[first, second], Some(corrections)) = (operands.states, operands.corrections) else {
            return Err(ShapeError("AdamW has two moments and two corrections".to_owned()));
        };
        let weight_decay = g.constant(Constant::F32(vec![1], vec![weight_decay]));
        if g.kernels() == Kernels::Fused {
            let inputs = [
                parameter,
                gradient,
                first,
                second,
                scale,
                learning_rate,
                weight_decay,
                corrections,
            ];
            return g.apply(*self, &inputs);
        }
        let gradient = g.mul(gradient, scale)?;
        let correction1 = g.slice(corrections, 0, 0, 1)?;
        let root_correction2 = g.slice(corrections, 0, 1, 2)?;
        let one = g.scalar(1.0);
        let loss_of_weight = g.mul(learning_rate, weight_decay)?;
        let decay = g.sub(one, loss_of_weight)?;
        let step_size = g.div(learning_rate, correction1)?;
        let (rise1, keep2) = (g.scalar((1.0 - self.beta1) as f32), g.scalar(self.beta2 as f32));
        let (rise2, epsilon) = (g.scalar((1.0 - self.beta2) as f32), g.scalar(self.epsilon as f32));
        let away = g.sub(gradient, first)?;
        let away = g.mul(away, rise1)?;
        let new_first = g.add(first, away)?;
        let kept = g.mul(second, keep2)?;
        let squared = g.mul(gradient, gradient)?;
        let new = g.mul(squared, rise2)?;
        let new_second = g.add(kept, new)?;
        let root = g.sqrt(new_second)?;
        let root = g.div(root, root_correction2)?;
        let denominator = g.add(root, epsilon)?;
        let direction = g.div(new_first, denominator)?;
        let step = g.mul(direction, step_size)?;
        let decayed = g.mul(parameter, decay)?;
        Ok(vec![g.sub(decayed, step)?, new_first, new_second])
    }

    /// Multiplies with the decay of each step.
    fn decay_unused_rows(
        &self,
        learning_rates: &[Option<f64>],
        weight_decay: f32,
        values: &mut [f32],
        show: &mut dyn FnMut(usize, &[f32]),
    ) {
        for (place, rate) in learning_rates.iter().enumerate() {
            if let Some(rate) = rate {
                let decay = 1.0 - *rate as f32 * weight_decay;
                values.iter_mut().for_each(|value| *value *= decay);
            }
            show(place, values);
        }
    }

    fn training_api(&self, weight_decay: f32) -> Option<Vec<(&'static str, AttributeValue)>> {
        Some(vec![
            ("alpha", AttributeValue::Float(self.beta1 as f32)),
            ("beta", AttributeValue::Float(self.beta2 as f32)),
            ("epsilon", AttributeValue::Float(self.epsilon as f32)),
            ("weight_decay", AttributeValue::Float(weight_decay)),
            ("correct_bias", AttributeValue::Int(1)),
            // PyTorch's AdamW; 1 would be that of `transformers`.
            ("adam_mode", AttributeValue::Int(0)),
        ])
    }
}
