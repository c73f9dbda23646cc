//! `MatMul` and `Gemm`.

use super::contract::{GradError, Op, OpNode, Role, required};
use crate::engine::graph::fact::{Dim, ShapeError, TensorFact, broadcast};
use crate::engine::graph::graph::{Graph, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// A·B over the last two axes, both operands of the same rank from 2 up; leading axes broadcast.
#[derive(Clone, Copy, Debug)]
pub struct MatMul;

/// op(A)·op(B) + C for matrices, where op transposes on request and C broadcasts to the result.
#[derive(Clone, Copy, Debug)]
pub struct Gemm {
    pub transpose_a: bool,
    pub transpose_b: bool,
}

/// Checks that the sizes that a product sums over agree.
pub(in crate::engine) fn check_inner(a: &Dim, b: &Dim) -> Result<(), ShapeError> {
    match (a, b) {
        (Dim::Fixed(x), Dim::Fixed(y)) if x != y => {
            Err(ShapeError(format!("inner sizes {x} and {y} differ")))
        }
        _ => Ok(()),
    }
}

impl Op for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn role(&self) -> Role {
        Role::Multiplies
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [a, b] = required(inputs)?;
        let rank = a.rank();
        if rank < 2 || rank != b.rank() {
            return Err(ShapeError("both operands must have the same rank, 2 or more".to_owned()));
        }
        check_inner(&a.shape[rank - 1], &b.shape[rank - 2])?;
        let mut shape = broadcast(&a.shape[..rank - 2], &b.shape[..rank - 2])?;
        shape.extend([a.shape[rank - 2].clone(), b.shape[rank - 1].clone()]);
        Ok(vec![TensorFact::f32(shape)])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let (a, b) = (node.input(0), node.input(1));
        let Some(dy) = dy[0] else { return Ok(vec![None, None]) };
        let b_transposed = g.transpose_last(b)?;
        let a_transposed = g.transpose_last(a)?;
        Ok(vec![Some(g.matmul(dy, b_transposed)?), Some(g.matmul(a_transposed, dy)?)])
    }
}

impl Op for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn role(&self) -> Role {
        Role::Multiplies
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![
            ("transA", AttributeValue::Int(i64::from(self.transpose_a))),
            ("transB", AttributeValue::Int(i64::from(self.transpose_b))),
        ]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [a, b] = required(&inputs[..2])?;
        if a.rank() != 2 || b.rank() != 2 {
            return Err(ShapeError("both operands must have rank 2".to_owned()));
        }
        let (rows, inner_a) = if self.transpose_a { (1, 0) } else { (0, 1) };
        let (inner_b, columns) = if self.transpose_b { (1, 0) } else { (0, 1) };
        check_inner(&a.shape[inner_a], &b.shape[inner_b])?;
        let shape = vec![a.shape[rows].clone(), b.shape[columns].clone()];
        if let Some(Some(c)) = inputs.get(2)
            && (c.rank() > 2
                || broadcast(&shape, &c.shape)?
                    .iter()
                    .zip(&shape)
                    .any(|(joined, own)| *own == Dim::Fixed(1) && joined != own))
        {
            return Err(ShapeError(format!("{c} does not broadcast to the product's shape")));
        }
        Ok(vec![TensorFact::f32(shape)])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let (a, b) = (node.input(0), node.input(1));
        let Some(dy) = dy[0] else { return Ok(vec![None; node.inputs.len()]) };
        // op(A) = dY·op(B)ᵀ and op(B) = op(A)ᵀ·dY, each transposed back where op transposes.
        let da = if self.transpose_a {
            g.gemm(b, dy, None, self.transpose_b, true)?
        } else {
            g.gemm(dy, b, None, false, !self.transpose_b)?
        };
        let db = match (self.transpose_a, self.transpose_b) {
            (false, false) => g.weight_grad(a, dy)?,
            (false, true) => g.weight_grad(dy, a)?,
            (true, false) => g.gemm(a, dy, None, false, false)?,
            (true, true) => g.gemm(dy, a, None, true, true)?,
        };
        let mut gradients = vec![Some(da), Some(db)];
        if node.inputs.len() == 3 {
            gradients.push(Some(dy));
        }
        Ok(gradients)
    }
}
