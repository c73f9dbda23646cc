//! The contract of a rule of update.

use std::fmt;

use crate::engine::graph::fact::ShapeError;
use crate::engine::graph::graph::{Graph, Var};
use crate::engine::graph::loss_scale::Scaled;
use crate::engine::graph::op::contract::AttributeValue;

/// How an optimizer changes a parameter by its gradient.
pub trait Update: fmt::Debug + Send + Sync {
    /// Returns how many state tensors each parameter has.
    fn states(&self) -> usize;

    /// Returns the numbers that depend on the step (from 1) alone; empty where there are none.
    fn corrections(&self, _step: u64) -> Vec<f32> {
        Vec::new()
    }

    /// Adds the corrections `[C]` of a step by its number among those that are taken, which the
    /// host does not know. Asked for only where there are corrections.
    fn corrections_of_taken(&self, g: &mut Graph, scaled: &Scaled) -> Result<Var, ShapeError>;

    /// Adds the update, and returns the new parameter and the new states.
    ///
    /// # Errors
    ///
    /// Fails where the operands do not go together.
    fn graph(&self, g: &mut Graph, operands: &Operands<'_>) -> Result<Vec<Var>, ShapeError>;

    /// Takes values that have never had a gradient through steps with these learning rates, in the
    /// very arithmetic of the update, each operation rounded by itself. A step without a rate was
    /// left out. After each step its place, from 0, and the values are shown.
    fn decay_unused_rows(
        &self,
        learning_rates: &[Option<f64>],
        weight_decay: f32,
        values: &mut [f32],
        show: &mut dyn FnMut(usize, &[f32]),
    );

    /// Returns the attributes of ONNX Runtime's operator `AdamWOptimizer` that make this update;
    /// `None` where it cannot.
    fn training_api(&self, _weight_decay: f32) -> Option<Vec<(&'static str, AttributeValue)>> {
        None
    }
}

/// What the update of one parameter is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    pub parameter: Var,
    pub gradient: Var,
    pub states: &'a [Var],
    /// What the gradient is multiplied with first, `[1]`.
    pub scale: Var,
    /// `[1]`
    pub learning_rate: Var,
    pub weight_decay: f32,
    /// `[C]`, where there are corrections.
    pub corrections: Option<Var>,
}
