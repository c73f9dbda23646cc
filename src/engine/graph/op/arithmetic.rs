//! `Add`, `Sub`, `Mul`, `Div` and `Min`, with NumPy's broadcasting.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{ShapeError, TensorFact, broadcast};
use crate::engine::graph::graph::{Graph, Var};

/// An elementwise operator of two operands.
#[derive(Clone, Copy, Debug)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    /// Without a gradient: only optimizers use it.
    Min,
}

impl Op for Arithmetic {
    fn name(&self) -> &'static str {
        match self {
            Arithmetic::Add => "Add",
            Arithmetic::Sub => "Sub",
            Arithmetic::Mul => "Mul",
            Arithmetic::Div => "Div",
            Arithmetic::Min => "Min",
        }
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [a, b] = required(inputs)?;
        if a.dtype != b.dtype {
            return Err(ShapeError(format!("types {:?} and {:?} differ", a.dtype, b.dtype)));
        }
        Ok(vec![TensorFact { dtype: a.dtype, shape: broadcast(&a.shape, &b.shape)? }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let (a, b) = (node.input(0), node.input(1));
        let Some(dy) = dy[0] else { return Ok(vec![None, None]) };
        let (da, db) = match self {
            Arithmetic::Add => (dy, dy),
            Arithmetic::Sub => (dy, g.neg(dy)?),
            Arithmetic::Mul => (g.mul(dy, b)?, g.mul(dy, a)?),
            Arithmetic::Div => {
                let da = g.div(dy, b)?;
                let share = g.mul(da, node.outputs[0])?;
                (da, g.neg(share)?)
            }
            Arithmetic::Min => return Err(GradError::NoGradient(self.name())),
        };
        Ok(vec![Some(da), Some(db)])
    }
}
