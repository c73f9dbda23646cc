//! `Gather` along axis 0, and `ScatterND` for its gradient.

use super::contract::{GradError, Op, OpNode, required};
use super::fused::GatherGrad;
use crate::engine::graph::fact::{DType, ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Kernels, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// Rows of a table `[V, ...]` by their numbers `[...]`.
#[derive(Clone, Copy, Debug)]
pub struct Gather;

/// A table with rows added to it: table `[V, H]`, row numbers `[N, 1]`, rows `[N, H]`. Rows that
/// come more than once add up.
#[derive(Clone, Copy, Debug)]
pub struct ScatterAdd;

impl Op for Gather {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [table, rows] = required(inputs)?;
        if rows.dtype != DType::I64 || table.rank() == 0 {
            return Err(ShapeError("expected a table and i64 row numbers".to_owned()));
        }
        let shape = rows.shape.iter().chain(&table.shape[1..]).cloned().collect();
        Ok(vec![TensorFact { dtype: table.dtype, shape }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None, None]) };
        let (table, rows) = (node.input(0), node.input(1));
        if g.fact(table).rank() != 2 || g.fact(rows).rank() != 1 {
            return Err(GradError::Shape(ShapeError(
                "the gradient needs a table of rank 2 and row numbers of rank 1".to_owned(),
            )));
        }
        let gradient = match g.kernels() {
            Kernels::Fused => g.apply1(GatherGrad, &[table, rows, dy])?,
            Kernels::Standard => {
                let size = g.shape(table)?;
                let result = g.fact(table).shape.clone();
                let zeros = g.zeros(size, result)?;
                let rows = g.unsqueeze(rows, &[1])?;
                g.apply1(ScatterAdd, &[zeros, rows, dy])?
            }
        };
        Ok(vec![Some(gradient), None])
    }
}

impl Op for ScatterAdd {
    fn name(&self) -> &'static str {
        "ScatterND"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("reduction", AttributeValue::Text("add"))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [table, _, _] = required(inputs)?;
        Ok(vec![table.clone()])
    }
}
