//! `ReduceSum`, `ReduceMean`, `ReduceMax` and `ReduceSumSquare`.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{DType, Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Constant, Graph, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// A reduction over axes; all of them where none is named.
#[derive(Clone, Debug)]
pub struct Reduce {
    pub kind: Reduction,
    /// May count from the end.
    pub axes: Vec<i64>,
    pub keep_dims: bool,
}

/// What is computed of the reduced elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Sum,
    Mean,
    Max,
    /// Σx²; without a gradient: only optimizers use it.
    SumSquare,
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Reduction::Sum => "ReduceSum",
            Reduction::Mean => "ReduceMean",
            Reduction::Max => "ReduceMax",
            Reduction::SumSquare => "ReduceSumSquare",
        }
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("keepdims", AttributeValue::Int(i64::from(self.keep_dims)))]
    }

    fn constants(&self) -> Vec<Constant> {
        if self.axes.is_empty() { Vec::new() } else { vec![Constant::ints(&self.axes)] }
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        let axes = self.absolute_axes(x)?;
        let shape = x
            .shape
            .iter()
            .enumerate()
            .filter_map(|(axis, dim)| match (axes.contains(&axis), self.keep_dims) {
                (false, _) => Some(dim.clone()),
                (true, true) => Some(Dim::Fixed(1)),
                (true, false) => None,
            })
            .collect();
        Ok(vec![TensorFact { dtype: x.dtype, shape }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        if self.kind == Reduction::SumSquare {
            return Err(GradError::NoGradient(self.name()));
        }
        let Some(mut dy) = dy[0] else { return Ok(vec![None]) };
        let x = node.input(0);
        let fact = g.fact(x).clone();
        let axes = self.absolute_axes(&fact)?;
        let size = g.shape(x)?;
        if !self.keep_dims {
            dy = self.with_axes(g, dy, fact.rank(), &axes)?;
        }
        if self.kind == Reduction::Max {
            let share = self.shares_of_largest(g, node, &axes)?;
            return Ok(vec![Some(g.mul(share, dy)?)]);
        }
        if self.kind == Reduction::Mean {
            let count = axes.iter().try_fold(1, |product, &axis| {
                if let Dim::Fixed(size) = fact.shape[axis] { Some(product * size) } else { None }
            });
            let Some(count) = count else {
                return Err(GradError::Shape(ShapeError(
                    "the mean over an axis of unknown size has no gradient here".to_owned(),
                )));
            };
            let share = g.scalar(1.0 / count as f32);
            dy = g.mul(dy, share)?;
        }
        Ok(vec![Some(g.expand(dy, size, fact.shape)?)])
    }
}

impl Reduce {
    /// Returns 1 where an element is the largest and 0 elsewhere; equally large ones share the 1.
    fn shares_of_largest(
        &self,
        g: &mut Graph,
        node: &OpNode,
        axes: &[usize],
    ) -> Result<Var, ShapeError> {
        let x = node.input(0);
        let mut largest = node.outputs[0];
        if !self.keep_dims {
            largest = self.with_axes(g, largest, g.fact(x).rank(), axes)?;
        }
        let is_largest = g.greater_or_equal(x, largest)?;
        let is_largest = g.cast(is_largest, DType::F32)?;
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        let count = g.reduce_sum(is_largest, &axes, true)?;
        g.div(is_largest, count)
    }

    /// Puts the reduced axes back as 1, so that broadcasting meets the right ones.
    fn with_axes(
        &self,
        g: &mut Graph,
        y: Var,
        rank: usize,
        axes: &[usize],
    ) -> Result<Var, ShapeError> {
        if axes.len() == rank { g.reshape(y, &vec![1; rank]) } else { g.unsqueeze(y, axes) }
    }

    fn absolute_axes(&self, x: &TensorFact) -> Result<Vec<usize>, ShapeError> {
        if self.axes.is_empty() {
            return Ok((0..x.rank()).collect());
        }
        let mut axes = self.axes.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        // In ascending order, as putting them back one by one wants them.
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }
}
