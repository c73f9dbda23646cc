//! `Slice` and `Concat`.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Constant, Graph, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// The part of a tensor from `start` up to `end` (left out) along one axis; step 1, no negative
/// places. The largest `end` stands for that of the tensor.
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

impl Op for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn constants(&self) -> Vec<Constant> {
        let one = |value: usize| Constant::ints(&[i64::try_from(value).unwrap_or(i64::MAX)]);
        vec![one(self.start), one(self.end), one(self.axis)]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        let axis = x.axis(self.axis as i64)?;
        let size = match x.shape[axis] {
            Dim::Fixed(size) => Some(size),
            _ => None,
        };
        let end = if self.end == usize::MAX { size.unwrap_or(self.end) } else { self.end };
        if self.start >= end || size.is_some_and(|size| end > size) {
            return Err(ShapeError(format!(
                "no part {}..{} along axis {axis}",
                self.start, self.end
            )));
        }
        let mut shape = x.shape.clone();
        shape[axis] = match end {
            usize::MAX => Dim::Unknown,
            end => Dim::Fixed(end - self.start),
        };
        Ok(vec![TensorFact { dtype: x.dtype, shape }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None]) };
        let x = node.input(0);
        // Zeros before and behind it, of which only the run may know how many.
        let sizes = g.shape(x)?;
        let mut parts = Vec::new();
        if self.start > 0 {
            let before = g.constant(Constant::ints(&[self.start as i64]));
            parts.push(self.zeros(g, x, sizes, before, Dim::Fixed(self.start))?);
        }
        parts.push(dy);
        match g.fact(x).shape[self.axis] {
            _ if self.end == usize::MAX => {}
            Dim::Fixed(size) if size == self.end => {}
            Dim::Fixed(size) => {
                let behind = g.constant(Constant::ints(&[(size - self.end) as i64]));
                parts.push(self.zeros(g, x, sizes, behind, Dim::Fixed(size - self.end))?);
            }
            _ => {
                let size = g.slice(sizes, 0, self.axis, self.axis + 1)?;
                let end = g.constant(Constant::ints(&[self.end as i64]));
                let behind = g.sub(size, end)?;
                parts.push(self.zeros(g, x, sizes, behind, Dim::Unknown)?);
            }
        }
        let whole = g.concat(&parts, self.axis)?;
        // The name of the size is worth keeping.
        g.values[whole.0 as usize].fact.shape = g.fact(x).shape.clone();
        Ok(vec![Some(whole)])
    }
}

impl Slice {
    /// Returns zeros as large as `x`, whose sizes are `sizes`, but for the axis of the slice: there
    /// are `count` `[1]`.
    fn zeros(
        &self,
        g: &mut Graph,
        x: Var,
        sizes: Var,
        count: Var,
        known: Dim,
    ) -> Result<Var, ShapeError> {
        let mut result = g.fact(x).shape.clone();
        let rank = result.len();
        result[self.axis] = known;
        let mut parts = Vec::new();
        if self.axis > 0 {
            parts.push(g.slice(sizes, 0, 0, self.axis)?);
        }
        parts.push(count);
        if self.axis + 1 < rank {
            parts.push(g.slice(sizes, 0, self.axis + 1, rank)?);
        }
        let shape = g.concat(&parts, 0)?;
        g.zeros(shape, result)
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
                    && matches!(
                        (&fact.shape[other], &first.shape[other]),
                        (Dim::Fixed(a), Dim::Fixed(b)) if a != b
                    )
            };
            if (0..first.rank()).any(differs) {
                return Err(ShapeError(format!(
                    "parts {first} and {fact} differ outside axis {axis}"
                )));
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

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None; node.inputs.len()]) };
        let mut start = 0;
        let mut gradients = Vec::new();
        for (place, input) in node.inputs.iter().flatten().copied().enumerate() {
            let gradient = match g.fact(input).shape[self.axis] {
                Dim::Fixed(size) => {
                    start += size;
                    g.slice(dy, self.axis, start - size, start)?
                }
                _ if place + 1 == node.inputs.len() => g.slice_from(dy, self.axis, start)?,
                _ => {
                    return Err(GradError::Shape(ShapeError(
                        "the gradient of joining parts of unknown size".to_owned(),
                    )));
                }
            };
            gradients.push(Some(gradient));
        }
        Ok(gradients)
    }
}
