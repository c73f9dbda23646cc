//! `Slice`, `Concat` and `Pad`.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::fact::{Dim, ShapeError, TensorFact};
use crate::engine::graph::{Constant, Graph, Var};
use crate::engine::onnx::AttributeValue;

/// The part of a tensor from `start` up to `end` (left out) along one axis; step 1, no negative places.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub axis: usize,
    pub start: usize,
    pub end: usize,
}

/// Tensors side by side along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    pub axis: usize,
}

/// Zeros around a tensor: the second input holds how many before each axis, then how many after each.
#[derive(Clone, Debug)]
pub struct Pad {
    pub result: Vec<Dim>,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn constants(&self) -> Vec<Constant> {
        let one = |value: usize| Constant::ints(&[value as i64]);
        vec![one(self.start), one(self.end), one(self.axis)]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        let axis = x.axis(self.axis as i64)?;
        if self.start >= self.end || matches!(x.shape[axis], Dim::Fixed(size) if self.end > size) {
            return Err(ShapeError(format!("no part {}..{} along axis {axis}", self.start, self.end)));
        }
        let mut shape = x.shape.clone();
        shape[axis] = Dim::Fixed(self.end - self.start);
        Ok(vec![TensorFact { dtype: x.dtype, shape }])
    }

    fn grad(&self, g: &mut Graph, node: &OpNode, dy: &[Option<Var>]) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None]) };
        let x = node.input(0);
        let (rank, result) = (g.fact(x).rank(), g.fact(x).shape.clone());
        // Zeros: `start` before, whatever is left after, which only the run may know.
        let sizes = g.shape(x)?;
        let size = g.slice(sizes, 0, self.axis, self.axis + 1)?;
        let end = g.constant(Constant::ints(&[self.end as i64]));
        let after = g.sub(size, end)?;
        let mut before = vec![0; rank + self.axis];
        before[self.axis] = self.start as i64;
        let mut parts = vec![g.constant(Constant::ints(&before)), after];
        if self.axis + 1 < rank {
            parts.push(g.constant(Constant::ints(&vec![0; rank - self.axis - 1])));
        }
        let amounts = g.concat(&parts, 0)?;
        Ok(vec![Some(g.apply1(Pad { result }, &[dy, amounts])?)])
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("axis", AttributeValue::Int(self.axis as i64))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let facts: Vec<&TensorFact> = inputs.iter().flatten().collect();
        let first = *facts.first().ok_or_else(|| ShapeError("nothing to join".to_owned()))?;
        let axis = first.axis(self.axis as i64)?;
        let mut total = Some(0);
        for fact in &facts {
            if fact.rank() != first.rank() || fact.dtype != first.dtype {
                return Err(ShapeError("the parts differ in rank or type".to_owned()));
            }
            let differs = |other: usize| {
                other != axis
                    && matches!((&fact.shape[other], &first.shape[other]), (Dim::Fixed(a), Dim::Fixed(b)) if a != b)
            };
            if (0..first.rank()).any(differs) {
                return Err(ShapeError(format!("parts {first} and {fact} differ beside axis {axis}")));
            }
            total = match (total, &fact.shape[axis]) {
                (Some(total), Dim::Fixed(size)) => Some(total + size),
                _ => None,
            };
        }
        let mut shape = first.shape.clone();
        shape[axis] = total.map_or(Dim::Unknown, Dim::Fixed);
        Ok(vec![TensorFact { dtype: first.dtype, shape }])
    }

    fn grad(&self, g: &mut Graph, node: &OpNode, dy: &[Option<Var>]) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None; node.inputs.len()]) };
        let mut start = 0;
        let mut gradients = Vec::new();
        for &input in node.inputs.iter().flatten() {
            let Dim::Fixed(size) = g.fact(input).shape[self.axis] else {
                return Err(GradError::Shape(ShapeError(
                    "the gradient of joining parts of unknown size".to_owned(),
                )));
            };
            gradients.push(Some(g.slice(dy, self.axis, start, start + size)?));
            start += size;
        }
        Ok(gradients)
    }
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x, _] = required(inputs)?;
        Ok(vec![TensorFact { dtype: x.dtype, shape: self.result.clone() }])
    }
}
