//! `Transpose`, `Reshape`, `Expand`, `Cast` and `Shape`: the same elements in another arrangement.

use super::contract::{GradError, Op, OpNode, Role, required};
use crate::engine::graph::fact::{DType, Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Constant, Graph, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// Output axis i is input axis `order[i]`.
#[derive(Clone, Debug)]
pub struct Transpose {
    pub order: Vec<usize>,
}

/// The same elements in a shape of which one size may be −1 (what is left) and sizes may be 0 (the
/// input's own).
#[derive(Clone, Debug)]
pub struct Reshape {
    pub shape: Vec<i64>,
}

/// The same elements in the shape that the second input holds; `result` is what is known of it.
#[derive(Clone, Debug)]
pub struct ReshapeTo {
    pub result: Vec<Dim>,
}

/// Broadcast to the shape that the second input holds; `result` is what is known of it.
#[derive(Clone, Debug)]
pub struct Expand {
    pub result: Vec<Dim>,
}

/// The same values in another element type; without a gradient.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    pub to: DType,
}

/// The sizes of a tensor as i64; without a gradient.
#[derive(Clone, Copy, Debug)]
pub struct Shape;

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn role(&self) -> Role {
        Role::Moves
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("perm", AttributeValue::Ints(self.order.iter().map(|&axis| axis as i64).collect()))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if sorted != (0..x.rank()).collect::<Vec<_>>() {
            return Err(ShapeError(format!(
                "{:?} is not an order of {} axes",
                self.order,
                x.rank()
            )));
        }
        let shape = self.order.iter().map(|&axis| x.shape[axis].clone()).collect();
        Ok(vec![TensorFact { dtype: x.dtype, shape }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        _: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None]) };
        let mut back = vec![0; self.order.len()];
        for (to, &from) in self.order.iter().enumerate() {
            back[from] = to;
        }
        Ok(vec![Some(g.transpose(dy, &back)?)])
    }
}

/// Returns the gradient of an operator that only rearranges: the other way round.
fn reshape_back(g: &mut Graph, node: &OpNode, dy: Option<Var>) -> Result<Option<Var>, GradError> {
    let Some(dy) = dy else { return Ok(None) };
    let x = node.input(0);
    let fixed: Option<Vec<i64>> = g
        .fact(x)
        .shape
        .iter()
        .map(|dim| if let Dim::Fixed(size) = dim { Some(*size as i64) } else { None })
        .collect();
    Ok(Some(match fixed {
        Some(shape) => g.reshape(dy, &shape)?,
        None => {
            let shape = g.shape(x)?;
            let result = g.fact(x).shape.clone();
            g.apply1(ReshapeTo { result }, &[dy, shape])?
        }
    }))
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn role(&self) -> Role {
        Role::Moves
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant::ints(&self.shape)]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        let mut shape = Vec::new();
        for (axis, &size) in self.shape.iter().enumerate() {
            shape.push(match size {
                0 => x
                    .shape
                    .get(axis)
                    .cloned()
                    .ok_or_else(|| ShapeError(format!("no axis {axis} to copy")))?,
                -1 => Dim::Unknown,
                size => Dim::Fixed(size as usize),
            });
        }
        let product = |shape: &[Dim]| {
            shape.iter().try_fold(1, |product, dim| {
                if let Dim::Fixed(size) = dim { Some(product * size) } else { None }
            })
        };
        if let (Some(before), Some(unknown)) =
            (product(&x.shape), shape.iter().position(|dim| *dim == Dim::Unknown))
        {
            let rest: Vec<Dim> =
                shape.iter().filter(|dim| **dim != Dim::Unknown).cloned().collect();
            if let Some(rest) = product(&rest).filter(|rest| *rest > 0) {
                shape[unknown] = Dim::Fixed(before / rest);
            }
        }
        if let (Some(before), Some(after)) = (product(&x.shape), product(&shape))
            && before != after
        {
            return Err(ShapeError(format!("{before} elements do not fill {:?}", self.shape)));
        }
        Ok(vec![TensorFact { dtype: x.dtype, shape }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        Ok(vec![reshape_back(g, node, dy[0])?])
    }
}

impl Op for ReshapeTo {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn role(&self) -> Role {
        Role::Moves
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x, _] = required(inputs)?;
        Ok(vec![TensorFact { dtype: x.dtype, shape: self.result.clone() }])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        Ok(vec![reshape_back(g, node, dy[0])?, None])
    }
}

impl Op for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x, _] = required(inputs)?;
        Ok(vec![TensorFact { dtype: x.dtype, shape: self.result.clone() }])
    }

    fn grad(
        &self,
        _: &mut Graph,
        _: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        // The driver sums over the axes that were broadcast.
        Ok(vec![dy[0], None])
    }
}

impl Op for Cast {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("to", AttributeValue::Int(i64::from(self.to.onnx())))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        Ok(vec![TensorFact { dtype: self.to, shape: x.shape.clone() }])
    }

    /// What is counted or true has no gradient.
    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        _: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        match g.fact(node.input(0)).dtype {
            DType::F32 | DType::F16 | DType::BF16 | DType::F64 => {
                Err(GradError::NoGradient(self.name()))
            }
            DType::I64 | DType::Bool => Ok(vec![None]),
        }
    }
}

impl Op for Shape {
    fn name(&self) -> &'static str {
        "Shape"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        Ok(vec![TensorFact::i64(vec![Dim::Fixed(x.rank())])])
    }
}
