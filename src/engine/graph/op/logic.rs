//! `Where`, comparisons, `And`, `Not`, `CumSum` and `TopK`: choosing and counting.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{DType, Dim, ShapeError, TensorFact, broadcast};
use crate::engine::graph::graph::{Constant, Graph, Var};

/// The second operand where the first is true, else the third; all broadcast.
#[derive(Clone, Copy, Debug)]
pub struct Where;

/// How two operands compare, element by element; false where one is not a number. Without a
/// gradient.
#[derive(Clone, Copy, Debug)]
pub enum Comparison {
    GreaterOrEqual,
    LessOrEqual,
}

/// Whether both operands are true; without a gradient.
#[derive(Clone, Copy, Debug)]
pub struct And;

/// The negation of truth values; without a gradient.
#[derive(Clone, Copy, Debug)]
pub struct Not;

/// Running sums along an axis; without a gradient.
#[derive(Clone, Copy, Debug)]
pub struct CumSum {
    pub axis: i64,
}

/// The `k` largest elements along the last axis, largest first, and their places (i64). Of equal
/// ones the first comes first. Without a gradient.
#[derive(Clone, Copy, Debug)]
pub struct TopK {
    pub k: usize,
}

impl Op for Where {
    fn name(&self) -> &'static str {
        "Where"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [condition, yes, no] = required(inputs)?;
        if condition.dtype != DType::Bool || yes.dtype != no.dtype {
            return Err(ShapeError("expected booleans and two operands of one type".to_owned()));
        }
        let shape = broadcast(&broadcast(&condition.shape, &yes.shape)?, &no.shape)?;
        Ok(vec![TensorFact { dtype: yes.dtype, shape }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None; 3]) };
        let condition = node.input(0);
        let zero = g.scalar(0.0);
        Ok(vec![None, Some(g.choose(condition, dy, zero)?), Some(g.choose(condition, zero, dy)?)])
    }
}

impl Op for Comparison {
    fn name(&self) -> &'static str {
        match self {
            Comparison::GreaterOrEqual => "GreaterOrEqual",
            Comparison::LessOrEqual => "LessOrEqual",
        }
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [a, b] = required(inputs)?;
        Ok(vec![TensorFact { dtype: DType::Bool, shape: broadcast(&a.shape, &b.shape)? }])
    }
}

impl Op for And {
    fn name(&self) -> &'static str {
        "And"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [a, b] = required(inputs)?;
        Ok(vec![TensorFact { dtype: DType::Bool, shape: broadcast(&a.shape, &b.shape)? }])
    }
}

impl Op for Not {
    fn name(&self) -> &'static str {
        "Not"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        Ok(vec![x.clone()])
    }
}

impl Op for CumSum {
    fn name(&self) -> &'static str {
        "CumSum"
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant::I64(Vec::new(), vec![self.axis])]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        Ok(vec![x.clone()])
    }
}

impl Op for TopK {
    fn name(&self) -> &'static str {
        "TopK"
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant::ints(&[i64::try_from(self.k).unwrap_or(i64::MAX)])]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        let axis = x.axis(-1)?;
        if let Dim::Fixed(size) = x.shape[axis]
            && self.k > size
        {
            return Err(ShapeError(format!("no {} largest of {size}", self.k)));
        }
        let mut shape = x.shape.clone();
        shape[axis] = Dim::Fixed(self.k);
        Ok(vec![TensorFact { dtype: x.dtype, shape: shape.clone() }, TensorFact::i64(shape)])
    }
}
