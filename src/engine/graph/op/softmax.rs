//! `Softmax` and `LogSoftmax` over the last axis.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// Softmax over the last axis, or its logarithm.
#[derive(Clone, Copy, Debug)]
pub enum Softmax {
    Softmax,
    LogSoftmax,
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        match self {
            Softmax::Softmax => "Softmax",
            Softmax::LogSoftmax => "LogSoftmax",
        }
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("axis", AttributeValue::Int(-1))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        x.axis(-1)?;
        Ok(vec![x.clone()])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let y = node.outputs[0];
        let Some(dy) = dy[0] else { return Ok(vec![None]) };
        let dx = match self {
            Softmax::Softmax => {
                // y·(dy − Σ dy·y)
                let weighted = g.mul(dy, y)?;
                let sum = g.reduce_sum(weighted, &[-1], true)?;
                let centred = g.sub(dy, sum)?;
                g.mul(y, centred)?
            }
            Softmax::LogSoftmax => {
                // dy − e^y·Σ dy
                let sum = g.reduce_sum(dy, &[-1], true)?;
                let probabilities = g.exp(y)?;
                let share = g.mul(probabilities, sum)?;
                g.sub(dy, share)?
            }
        };
        Ok(vec![Some(dx)])
    }
}
