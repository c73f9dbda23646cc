//! (IA)³ (Liu et al. 2022): learnt factors of keys, of values, and of what the second layer of the
//! feed-forward layer reads.

use ndarray::{ArrayD, Axis};
use serde_json::{Map, Value, json};

use super::contract::{Adapter, changed, found, take};
use crate::engine::graph::graph::Constant;
use crate::engine::{EngineError, Initial, ShapeError, Var};
use crate::model::Weights;
use crate::model::encoders::parts::builder::{Adapts, Apart, Builder};
use crate::model::encoders::parts::module::{Module, Role};

/// (IA)³, which has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ia3;

/// The name of a layer's factors.
fn name(module: &Module) -> String {
    format!("{}.ia3_l", module.name)
}

/// Returns how many outputs, the last ones, have a factor.
fn scaled(module: &Module) -> usize {
    match module.role {
        Role::Key | Role::Value => module.outputs,
        // Not the queries, which are the first third.
        Role::Packed => module.outputs / 3 * 2,
        Role::Query | Role::Down | Role::Other => 0,
    }
}

impl Adapts for Ia3 {
    fn targets(&self, module: &Module) -> bool {
        module.role == Role::Down || scaled(module) > 0
    }

    fn input(&self, b: &mut Builder, x: Var, module: &Module) -> Result<Var, ShapeError> {
        if module.role != Role::Down {
            return Ok(x);
        }
        let factors = b.of_adapter(name(module), &[module.inputs], Initial::Ones);
        b.g.mul(x, factors)
    }

    fn output(
        &self,
        b: &mut Builder,
        _: Var,
        (made, bias): Apart,
        module: &Module,
    ) -> Result<Apart, ShapeError> {
        let count = scaled(module);
        if count == 0 {
            return Ok((made, bias));
        }
        let mut factors = b.of_adapter(name(module), &[count], Initial::Ones);
        let others = module.outputs - count;
        if others > 0 {
            let ones = b.g.constant(Constant::F32(vec![others], vec![1.0; others]));
            factors = b.g.concat(&[ones, factors], 0)?;
        }
        let bias = bias.map(|bias| b.g.mul(bias, factors)).transpose()?;
        Ok((b.g.mul(made, factors)?, bias))
    }
}

impl Adapter for Ia3 {
    /// The rows of W and the bias take the factors of outputs, the columns of W those of inputs.
    fn merge(&self, module: &Module, weights: &mut Weights) -> Result<(), EngineError> {
        let factors = take(weights, name(module))?;
        let (axis, first) = match module.role {
            Role::Down => (Axis(1), 0),
            _ => (Axis(0), module.outputs - scaled(module)),
        };
        let scale = |value: &mut f32, factor: f32| {
            *value = (f64::from(*value) * f64::from(factor)) as f32;
        };
        let weight = changed(weights, module.weight())?;
        for (mut part, factor) in weight.axis_iter_mut(axis).skip(first).zip(&factors) {
            part.iter_mut().for_each(|value| scale(value, *factor));
        }
        if axis == Axis(0)
            && let Some(bias) = weights.get_mut(&module.bias())
        {
            for (value, factor) in bias.iter_mut().skip(first).zip(&factors) {
                scale(value, *factor);
            }
        }
        Ok(())
    }

    fn tensors(
        &self,
        module: &Module,
        weights: &Weights,
    ) -> Result<Vec<(String, ArrayD<f32>)>, EngineError> {
        let name = name(module);
        let factors = found(weights, name.clone())?;
        let (shape, others) = match module.role {
            Role::Down => ([1, module.inputs], 0),
            _ => ([module.outputs, 1], module.outputs - scaled(module)),
        };
        let all = std::iter::repeat_n(1.0, others).chain(factors.iter().copied()).collect();
        let shaped = ArrayD::from_shape_vec(shape.to_vec(), all)
            .map_err(|error| ShapeError(error.to_string()))?;
        Ok(vec![(name, shaped)])
    }

    fn settings(&self, modules: &[(String, &Module)]) -> Map<String, Value> {
        let all: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
        let down = modules.iter().filter(|(_, module)| module.role == Role::Down);
        let down: Vec<&str> = down.map(|(name, _)| name.as_str()).collect();
        let settings = [
            ("peft_type", json!("IA3")),
            ("fan_in_fan_out", json!(false)),
            ("target_modules", json!(all)),
            ("feedforward_modules", json!(down)),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
