//! Dynamic loss scaling (Micikevicius et al. 2018, "Mixed precision training"), by PyTorch's rule.
//!
//! Gradients that half precision would round to 0 are kept by multiplying the loss. A step whose
//! gradients overflow is left out and the scale halved; after a number of steps without one it is
//! doubled. All of it is part of the graphs, so that the host need not wait for a step's outcome.

use super::fact::{DType, Dim, ShapeError, TensorFact};
use super::graph::{Constant, Graph, Var};

/// The input `[3]` with the state: the scale, the steps since it last changed, and the steps that
/// were taken.
pub const SCALER: &str = "scaler";
/// The output with the state after the step.
pub const NEW_SCALER: &str = "new_scaler";

/// When the scale changes and by how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScaling {
    pub initial: f32,
    pub growth_factor: f32,
    pub backoff_factor: f32,
    /// The steps without overflow after which the scale grows.
    pub growth_interval: u32,
}

impl Default for LossScaling {
    /// PyTorch's values.
    fn default() -> LossScaling {
        LossScaling {
            initial: 65536.0,
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
        }
    }
}

/// What the update of a step goes by.
pub struct Scaled {
    /// Whether the step is taken, `[1]`.
    pub is_taken: Var,
    /// 1/scale, `[1]`.
    pub inverse: Var,
    /// The number of the step among those that are taken, from 1, `[1]` in f64.
    pub number: Var,
}

/// Says whether a step with this norm is taken: the graph's own test.
pub fn is_finite(norm: f32) -> bool {
    norm <= f32::MAX
}

impl LossScaling {
    /// Returns the state at the beginning.
    pub fn state(&self) -> [f32; 3] {
        [self.initial, 0.0, 0.0]
    }

    /// Returns a loss (rank 0) times the scale.
    pub(in crate::engine) fn scale(graph: &mut Graph, loss: Var) -> Result<Var, ShapeError> {
        let scale = scaler(graph, 0)?;
        let scale = graph.reshape(scale, &[])?;
        graph.mul(loss, scale)
    }

    /// Returns 1/scale, `[1]`.
    pub(in crate::engine) fn inverse(graph: &mut Graph) -> Result<Var, ShapeError> {
        let (one, scale) = (one(graph, 1.0), scaler(graph, 0)?);
        graph.div(one, scale)
    }

    /// Adds the output with the next state, given the gradients' norm (unscaled), and returns what
    /// the update goes by.
    pub(in crate::engine) fn step(
        &self,
        graph: &mut Graph,
        inverse: Var,
        norm: Var,
    ) -> Result<Scaled, ShapeError> {
        let largest = one(graph, f32::MAX);
        // Not so where the norm is infinite or not a number.
        let is_taken = graph.less_or_equal(norm, largest)?;
        let (scale, good, taken) = (scaler(graph, 0)?, scaler(graph, 1)?, scaler(graph, 2)?);
        let (zero, step) = (one(graph, 0.0), one(graph, 1.0));
        let (growth, backoff) = (one(graph, self.growth_factor), one(graph, self.backoff_factor));
        let interval = one(graph, self.growth_interval as f32);
        let better = graph.add(good, step)?;
        let grows = graph.greater_or_equal(better, interval)?;
        let larger = graph.mul(scale, growth)?;
        let larger = graph.min(larger, largest)?;
        let smaller = graph.mul(scale, backoff)?;
        let kept = graph.choose(grows, larger, scale)?;
        let new_scale = graph.choose(is_taken, kept, smaller)?;
        let counted = graph.choose(grows, zero, better)?;
        let new_good = graph.choose(is_taken, counted, zero)?;
        let next = graph.add(taken, step)?;
        let new_taken = graph.choose(is_taken, next, taken)?;
        let state = graph.concat(&[new_scale, new_good, new_taken], 0)?;
        graph.output(NEW_SCALER, state);
        let number = graph.cast(next, DType::F64)?;
        Ok(Scaled { is_taken, inverse, number })
    }
}

impl Scaled {
    /// Returns 1 − base^number, `[1]`, to double precision until it is rounded.
    pub(in crate::engine) fn correction(
        &self,
        graph: &mut Graph,
        base: f64,
    ) -> Result<Var, ShapeError> {
        let logarithm = graph.constant(Constant::F64(vec![1], vec![base.ln()]));
        let one = graph.constant(Constant::F64(vec![1], vec![1.0]));
        let exponent = graph.mul(self.number, logarithm)?;
        let power = graph.exp(exponent)?;
        graph.sub(one, power)
    }
}

fn one(graph: &mut Graph, value: f32) -> Var {
    graph.constant(Constant::F32(vec![1], vec![value]))
}

/// Returns a part of the state, `[1]`.
fn scaler(graph: &mut Graph, place: usize) -> Result<Var, ShapeError> {
    let known = graph.known_input(SCALER);
    let state = known.unwrap_or_else(|| graph.input(SCALER, TensorFact::f32(vec![Dim::Fixed(3)])));
    graph.slice(state, 0, place, place + 1)
}
