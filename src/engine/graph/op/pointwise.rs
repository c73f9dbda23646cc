//! Elementwise functions of one operand.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Var};

/// An elementwise function.
#[derive(Clone, Copy, Debug)]
pub enum Pointwise {
    Neg,
    Sqrt,
    Exp,
    Log,
    Tanh,
    Erf,
    Relu,
    Reciprocal,
    Sin,
    Cos,
}

impl Op for Pointwise {
    fn name(&self) -> &'static str {
        match self {
            Pointwise::Neg => "Neg",
            Pointwise::Sqrt => "Sqrt",
            Pointwise::Exp => "Exp",
            Pointwise::Log => "Log",
            Pointwise::Tanh => "Tanh",
            Pointwise::Erf => "Erf",
            Pointwise::Relu => "Relu",
            Pointwise::Reciprocal => "Reciprocal",
            Pointwise::Sin => "Sin",
            Pointwise::Cos => "Cos",
        }
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        Ok(vec![x.clone()])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let (x, y) = (node.input(0), node.outputs[0]);
        let Some(dy) = dy[0] else { return Ok(vec![None]) };
        let dx = match self {
            Pointwise::Neg => g.neg(dy)?,
            Pointwise::Sqrt => {
                let half = g.scalar(0.5);
                let halved = g.mul(dy, half)?;
                g.div(halved, y)?
            }
            Pointwise::Exp => g.mul(dy, y)?,
            Pointwise::Log => g.div(dy, x)?,
            Pointwise::Tanh => {
                // dy·(1 − y²)
                let squared = g.mul(y, y)?;
                let share = g.mul(dy, squared)?;
                g.sub(dy, share)?
            }
            Pointwise::Erf => {
                // dy·2/√π·e^(−x²)
                let squared = g.mul(x, x)?;
                let negative = g.neg(squared)?;
                let bell = g.exp(negative)?;
                let factor = g.scalar(std::f32::consts::FRAC_2_SQRT_PI);
                let slope = g.mul(bell, factor)?;
                g.mul(dy, slope)?
            }
            Pointwise::Relu => {
                // The slope at 0 is 0, as in PyTorch.
                let zero = g.scalar(0.0);
                let off = g.less_or_equal(y, zero)?;
                g.choose(off, zero, dy)?
            }
            Pointwise::Reciprocal => {
                let squared = g.mul(y, y)?;
                let share = g.mul(dy, squared)?;
                g.neg(share)?
            }
            Pointwise::Sin => {
                let slope = g.cos(x)?;
                g.mul(dy, slope)?
            }
            Pointwise::Cos => {
                let sine = g.sin(x)?;
                let share = g.mul(dy, sine)?;
                g.neg(share)?
            }
        };
        Ok(vec![Some(dx)])
    }
}
