//! LoRA (Hu et al. 2022): a linear layer x·Wᵀ + b gets s·drop(x)·Aᵀ·Bᵀ added, where A and B have a
//! low rank.
//!
//! Dimensions: `T` rows, `r` rank.

use ndarray::{Array1, ArrayD, Axis, Ix2};
use serde_json::{Map, Value, json};

use super::contract::{Adapter, changed, found, take};
use super::targets::Targets;
use crate::engine::{EngineError, Initial, ShapeError, Var};
use crate::model::Weights;
use crate::model::encoders::parts::builder::{Adapts, Apart, Builder};
use crate::model::encoders::parts::module::Module;

/// LoRA's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// r, at least 1.
    pub rank: usize,
    /// α.
    pub alpha: f64,
    /// The rate of dropout before A.
    pub dropout: f64,
    pub targets: Targets,
    /// Whether s is α/√r (Kalajdzievski 2023) in place of α/r.
    pub rank_stabilized: bool,
}

impl Lora {
    /// Returns s.
    fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilized { rank.sqrt() } else { rank }
    }
}

/// The names of A `[r, inputs]` and B `[outputs, r]`.
fn names(module: &Module) -> [String; 2] {
    ["A", "B"].map(|one| format!("{}.lora_{one}.weight", module.name))
}

impl Adapts for Lora {
    fn targets(&self, module: &Module) -> bool {
        self.targets.include(module)
    }

    fn output(
        &self,
        b: &mut Builder,
        x: Var,
        (made, bias): Apart,
        module: &Module,
    ) -> Result<Apart, ShapeError> {
        let [down, up] = names(module);
        let down = b.of_adapter(down, &[self.rank, module.inputs], Initial::Uniform);
        let up = b.of_adapter(up, &[module.outputs, self.rank], Initial::Zeros);
        let x = b.adapter_dropout(x, self.dropout as f32)?;
        let low = b.g.linear(x, down, None)?; // [T, r]
        let scale = b.g.scalar(self.scale() as f32);
        let low = b.g.mul(low, scale)?;
        let added = b.g.linear(low, up, None)?; // [T, outputs]
        Ok((b.g.add(made, added)?, bias))
    }
}

impl Adapter for Lora {
    fn idle(&self, modules: &[Module]) -> Vec<String> {
        self.targets.idle(modules)
    }

    /// W becomes W + s·B·A.
    fn merge(&self, module: &Module, weights: &mut Weights) -> Result<(), EngineError> {
        let [down, up] = names(module);
        let wrong = |error: ndarray::ShapeError| ShapeError(error.to_string());
        let double = |array: ArrayD<f32>| array.mapv(f64::from).into_dimensionality::<Ix2>();
        let down = double(take(weights, down)?).map_err(wrong)?; // [r, inputs]
        let up = double(take(weights, up)?).map_err(wrong)?; // [outputs, r]
        let weight = changed(weights, module.weight())?;
        for (mut row, up) in weight.axis_iter_mut(Axis(0)).zip(up.outer_iter()) {
            let mut added = Array1::zeros(module.inputs);
            for (factor, down) in up.iter().zip(down.outer_iter()) {
                added.scaled_add(self.scale() * factor, &down);
            }
            for (value, added) in row.iter_mut().zip(&added) {
                *value = (f64::from(*value) + added) as f32;
            }
        }
        Ok(())
    }

    fn tensors(
        &self,
        module: &Module,
        weights: &Weights,
    ) -> Result<Vec<(String, ArrayD<f32>)>, EngineError> {
        let own = |name: String| Ok((name.clone(), found(weights, name)?.clone()));
        names(module).into_iter().map(own).collect()
    }

    fn settings(&self, modules: &[(String, &Module)]) -> Map<String, Value> {
        let targets: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
        let settings = [
            ("peft_type", json!("LORA")),
            ("r", json!(self.rank)),
            ("lora_alpha", json!(self.alpha)),
            ("lora_dropout", json!(self.dropout)),
            ("use_rslora", json!(self.rank_stabilized)),
            ("bias", json!("none")),
            ("fan_in_fan_out", json!(false)),
            ("target_modules", json!(targets)),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
