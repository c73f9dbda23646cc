//! What every operator provides.

use std::fmt;

use crate::engine::graph::fact::{ShapeError, TensorFact};
use crate::engine::graph::graph::{Constant, Graph, Var};

/// The ONNX domain of our operators.
pub const DOMAIN: &str = "pipe";

/// A value of an operator's attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    Int(i64),
    Float(f32),
    Text(&'static str),
    Ints(Vec<i64>),
}

/// An operator with its attributes.
pub trait Op: fmt::Debug + Send + Sync {
    /// Returns the operator's ONNX name.
    fn name(&self) -> &'static str;

    /// Returns the ONNX domain: empty for the standard's operators.
    fn domain(&self) -> &'static str {
        ""
    }

    /// Returns the ONNX attributes.
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        Vec::new()
    }

    /// Returns the constant inputs that ONNX wants after the tensors, such as the axes of a
    /// reduction.
    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    /// Returns type and shape of each output. `None` stands for an input that is left out.
    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError>;

    /// Returns what the operator does in a graph of lower precision.
    fn role(&self) -> Role {
        Role::Computes
    }

    /// Adds the gradient: for each input the tensor that its gradient is, or `None` where there is
    /// none. The result may still be broadcast against the input; the driver sums it.
    fn grad(
        &self,
        graph: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let _ = (graph, node, dy);
        Err(GradError::NoGradient(self.name()))
    }
}

/// What an operator does with the type of its elements; see [`crate::engine::graph::lower`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A matrix product, whose operands may be narrow.
    Multiplies,
    /// Its first input's elements in another order or shape, of whatever type.
    Moves,
    /// All else: it computes in f32.
    Computes,
}

/// The tensors of one applied operator.
#[derive(Clone, Debug)]
pub struct OpNode {
    pub inputs: Vec<Option<Var>>,
    pub outputs: Vec<Var>,
}

impl OpNode {
    /// Returns an input that the operator always has.
    #[expect(clippy::expect_used, reason = "the operator's shape rule refuses to do without it")]
    pub fn input(&self, index: usize) -> Var {
        self.inputs[index].expect("the operator's shape rule has seen this input")
    }
}

/// Why a gradient cannot be built.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GradError {
    #[error("operator `{0}` has no gradient")]
    NoGradient(&'static str),
    #[error("in a gradient: {0}")]
    Shape(#[from] ShapeError),
}

/// Returns the facts of inputs that must all be there.
pub fn required<const N: usize>(
    inputs: &[Option<TensorFact>],
) -> Result<[&TensorFact; N], ShapeError> {
    let facts: Option<Vec<&TensorFact>> = inputs.iter().map(Option::as_ref).collect();
    facts.and_then(|facts| facts.try_into().ok()).ok_or_else(|| {
        ShapeError(format!("expected {N} inputs, found {}", inputs.iter().flatten().count()))
    })
}
