//! Our own operators, which the kernels of [`crate::engine::kernel`] compute on the CPU. Builders
//! in [`crate::engine::graph::build`] use them where a graph may, and their standard form
//! elsewhere.

use super::contract::{GradError, Op, OpNode, required};
use super::product::check_inner;
use crate::engine::graph::fact::{Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Var};
use crate::engine::graph::op::contract::{AttributeValue, DOMAIN};

/// Multi-head scaled dot-product attention (Vaswani et al. 2017) with dropout on the probabilities.
///
/// Inputs: queries, keys and values `[T, H]` without their biases, the biases `[H]`, mask `[B, L]`
/// (i64, 0 hides a key), a bias of the scores `[1 or B, 1 or heads, L, L]` (where there is none,
/// any tensor stands in its place), dropout key `[1]` (i64, where `rate` > 0). The rows are those
/// of all `B·L` places, or of those alone that the mask shows, which stand first in their text.
/// Outputs: context `[T, H]`, probabilities before dropout `[B, heads, L, L]`, of which each text
/// and head has the first l·l numbers for its l rows. Those of a key stand in a row, as the biases
/// of the scores do.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub heads: usize,
    /// What the products of queries and keys are multiplied with.
    pub scale: f32,
    /// Whether scores have a bias.
    pub has_bias: bool,
    /// Whether that bias has a gradient.
    pub learns_bias: bool,
    pub rate: f32,
    pub site: u32,
}

/// The gradients of [`Attention`] with respect to queries, keys, values, their biases, and the bias
/// of the scores `[B, heads, L, L]` where it has one.
///
/// Inputs: queries, keys, values, their biases, probabilities, gradient of the context, mask,
/// dropout key.
#[derive(Clone, Copy, Debug)]
pub struct AttentionGrad(pub Attention);

/// GELU of x + b, rows `[T, N]`, bias `[N]`. Outputs: the result and the slope, which is all that
/// the gradient needs.
#[derive(Clone, Copy, Debug)]
pub struct BiasGelu {
    pub tanh: bool,
}

/// The gradients of [`BiasGelu`]: inputs dy and slope, outputs dx `[T, N]` and db `[N]`.
#[derive(Clone, Copy, Debug)]
pub struct BiasGeluGrad;

/// LayerNorm(residual + dropout(x + bias)) over rows `[T, H]`.
///
/// Inputs: x, bias `[H]`, residual `[T, H]`, γ `[H]`, β `[H]`, dropout key (where `rate` > 0).
/// Where there is no bias or no residual, any tensor of that shape stands in its place: ONNX
/// Runtime 1.19 and 1.21 end the process over an input left out before one that is there. Outputs:
/// the result, the normalised rows x̂ `[T, H]` and the inverse deviations `[T]`.
#[derive(Clone, Copy, Debug)]
pub struct AddNorm {
    pub has_bias: bool,
    pub has_residual: bool,
    pub epsilon: f32,
    pub rate: f32,
    pub site: u32,
}

/// The gradients of [`AddNorm`].
///
/// Inputs: dy, x̂, inverse deviations, γ, dropout key. Outputs: dx, d bias, d residual, dγ, dβ.
#[derive(Clone, Copy, Debug)]
pub struct AddNormGrad(pub AddNorm);

/// Dropout (Srivastava et al. 2014), survivors scaled by 1/(1 − rate). Inputs: x, dropout key. Its
/// gradient is the same operator on dy.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    pub rate: f32,
    pub site: u32,
}

/// The sum over all rows `[T, N]` → `[N]`; the gradient of a bias.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSum;

/// Aᵀ·B for B `[T, N]` and each A `[T, M]`, of which there are up to [`WeightGrad::MOST`] → `[M,
/// N]` each; the gradients of weights that the same rows B go through. Inputs: B, then each A.
#[derive(Clone, Copy, Debug)]
pub struct WeightGrad;

/// The gradient of `Gather`: inputs table `[V, H]`, row numbers `[N]`, dy `[N, H]`; rows are added
/// in their order.
#[derive(Clone, Copy, Debug)]
pub struct GatherGrad;

/// Σx² of a tensor of any shape → `[1]`, in an order that does not depend on the number of threads.
#[derive(Clone, Copy, Debug)]
pub struct SumSquares;

macro_rules! own_domain {
    () => {
        fn domain(&self) -> &'static str {
            DOMAIN
        }
    };
}

fn dropout_attributes(rate: f32, site: u32) -> Vec<(&'static str, AttributeValue)> {
    vec![("rate", AttributeValue::Float(rate)), ("site", AttributeValue::Int(i64::from(site)))]
}

/// Checks that rows go with rows; sizes that only a run knows are left to it.
fn same_rows(x: &TensorFact, other: &TensorFact) -> Result<(), ShapeError> {
    let differs = |(a, b): (&Dim, &Dim)| matches!((a, b), (Dim::Fixed(a), Dim::Fixed(b)) if a != b);
    if x.rank() != other.rank() || x.shape.iter().zip(&other.shape).any(differs) {
        return Err(ShapeError(format!("rows {x} and {other} differ")));
    }
    Ok(())
}

fn present(inputs: &[Option<TensorFact>], index: usize) -> Result<&TensorFact, ShapeError> {
    inputs
        .get(index)
        .and_then(Option::as_ref)
        .ok_or_else(|| ShapeError(format!("input {index} is missing")))
}

/// Checks that queries are rows of so many heads and that the mask is one for each text and token;
/// returns the widths of a row and of a head.
pub fn check_heads(
    queries: &TensorFact,
    mask: &TensorFact,
    heads: usize,
) -> Result<(usize, usize), ShapeError> {
    if queries.rank() != 2 || mask.rank() != 2 {
        return Err(ShapeError(format!(
            "attention needs rows and a mask of rank 2, found {queries} and {mask}"
        )));
    }
    match queries.shape[1] {
        Dim::Fixed(hidden) if heads > 0 && hidden % heads == 0 => Ok((hidden, hidden / heads)),
        _ => Err(ShapeError(format!("rows {queries} do not split into {heads} heads"))),
    }
}

/// Checks that a bias of scores has a row for each key, and one head or all.
fn check_scores(bias: &TensorFact, heads: usize) -> Result<(), ShapeError> {
    let fits =
        bias.rank() == 4 && matches!(bias.shape[1], Dim::Fixed(own) if own == 1 || own == heads);
    match fits {
        true => Ok(()),
        false => Err(ShapeError(format!("a bias {bias} does not fit the scores of {heads} heads"))),
    }
}

/// Checks that a vector has an element for each column of rows.
fn check_columns(rows: &TensorFact, vectors: &[&TensorFact]) -> Result<(), ShapeError> {
    if rows.rank() != 2 {
        return Err(ShapeError(format!("expected rows of rank 2, found {rows}")));
    }
    match vectors.iter().find(|vector| vector.shape[..] != rows.shape[1..]) {
        Some(vector) => Err(ShapeError(format!("a vector {vector} does not fit rows {rows}"))),
        None => Ok(()),
    }
}

impl Op for Attention {
    own_domain!();

    fn name(&self) -> &'static str {
        "Attention"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let mut attributes = dropout_attributes(self.rate, self.site);
        attributes.push(("heads", AttributeValue::Int(self.heads as i64)));
        attributes.push(("scale", AttributeValue::Float(self.scale)));
        attributes.push(("has_bias", AttributeValue::Int(i64::from(self.has_bias))));
        attributes.push(("learns_bias", AttributeValue::Int(i64::from(self.learns_bias))));
        attributes
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let (queries, mask) = (present(inputs, 0)?, present(inputs, 6)?);
        check_heads(queries, mask, self.heads)?;
        check_columns(queries, &[present(inputs, 3)?, present(inputs, 4)?, present(inputs, 5)?])?;
        let (batch, length) = (mask.shape[0].clone(), mask.shape[1].clone());
        if self.has_bias {
            check_scores(present(inputs, 7)?, self.heads)?;
        }
        let probabilities = vec![batch, Dim::Fixed(self.heads), length.clone(), length];
        Ok(vec![queries.clone(), TensorFact::f32(probabilities)])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let mut gradients = vec![None; node.inputs.len()];
        let Some(dy) = dy[0] else { return Ok(gradients) };
        let mut inputs = node.inputs[..6].to_vec();
        inputs.extend([Some(node.outputs[1]), Some(dy), node.inputs[6]]);
        inputs.extend(node.inputs.get(8));
        let made = g.apply_optional(AttentionGrad(*self), &inputs)?;
        for (place, output) in [0, 1, 2, 3, 4, 5, 7].into_iter().zip(made) {
            gradients[place] = Some(output);
        }
        Ok(gradients)
    }
}

impl Op for AttentionGrad {
    own_domain!();

    fn name(&self) -> &'static str {
        "AttentionGrad"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        self.0.attributes()
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let of_scores = self.0.learns_bias.then_some(6);
        (0..6).chain(of_scores).map(|index| present(inputs, index).cloned()).collect()
    }
}

impl Op for BiasGelu {
    own_domain!();

    fn name(&self) -> &'static str {
        "BiasGelu"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("tanh", AttributeValue::Int(i64::from(self.tanh)))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x, bias] = required(inputs)?;
        check_columns(x, &[bias])?;
        Ok(vec![x.clone(), x.clone()])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None, None]) };
        Ok(g.apply(BiasGeluGrad, &[dy, node.outputs[1]])?.into_iter().map(Some).collect())
    }
}

impl Op for BiasGeluGrad {
    own_domain!();

    fn name(&self) -> &'static str {
        "BiasGeluGrad"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [dy, _] = required(inputs)?;
        Ok(vec![dy.clone(), TensorFact::f32(vec![dy.shape[1].clone()])])
    }
}

impl Op for AddNorm {
    own_domain!();

    fn name(&self) -> &'static str {
        "AddNorm"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let mut attributes = dropout_attributes(self.rate, self.site);
        attributes.push(("epsilon", AttributeValue::Float(self.epsilon)));
        attributes.push(("has_bias", AttributeValue::Int(i64::from(self.has_bias))));
        attributes.push(("has_residual", AttributeValue::Int(i64::from(self.has_residual))));
        attributes
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x, bias, residual, gamma, beta] = required(&inputs[..5])?;
        check_columns(x, &[bias, gamma, beta])?;
        same_rows(x, residual)?;
        Ok(vec![x.clone(), x.clone(), TensorFact::f32(vec![x.shape[0].clone()])])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let mut gradients = vec![None; node.inputs.len()];
        let Some(dy) = dy[0] else { return Ok(gradients) };
        let mut inputs =
            vec![Some(dy), Some(node.outputs[1]), Some(node.outputs[2]), node.inputs[3]];
        inputs.extend(node.inputs.get(5));
        for (gradient, output) in
            gradients.iter_mut().zip(g.apply_optional(AddNormGrad(*self), &inputs)?)
        {
            *gradient = Some(output);
        }
        // What only stands in a place has no effect.
        gradients[1] = gradients[1].filter(|_| self.has_bias);
        gradients[2] = gradients[2].filter(|_| self.has_residual);
        Ok(gradients)
    }
}

impl Op for AddNormGrad {
    own_domain!();

    fn name(&self) -> &'static str {
        "AddNormGrad"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        self.0.attributes()
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let dy = present(inputs, 0)?;
        let column = TensorFact::f32(vec![dy.shape[1].clone()]);
        Ok(vec![dy.clone(), column.clone(), dy.clone(), column.clone(), column])
    }
}

impl Op for Dropout {
    own_domain!();

    fn name(&self) -> &'static str {
        "Dropout"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        dropout_attributes(self.rate, self.site)
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x, _] = required(inputs)?;
        Ok(vec![x.clone()])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None, None]) };
        Ok(vec![Some(g.apply1(*self, &[dy, node.input(1)])?), None])
    }
}

impl Op for ColumnSum {
    own_domain!();

    fn name(&self) -> &'static str {
        "ColumnSum"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        x.axis(1)?;
        Ok(vec![TensorFact::f32(vec![x.shape[1].clone()])])
    }
}

impl WeightGrad {
    /// Queries, keys and values have their rows in common.
    pub const MOST: usize = 3;
}

impl Op for WeightGrad {
    own_domain!();

    fn name(&self) -> &'static str {
        "WeightGrad"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let (b, a) = (present(inputs, 0)?, present(inputs, 1)?);
        if a.rank() != 2 || b.rank() != 2 || inputs.len() > 1 + WeightGrad::MOST {
            return Err(ShapeError(format!(
                "expected rows and up to {} other tensors of rank 2",
                WeightGrad::MOST
            )));
        }
        check_inner(&a.shape[0], &b.shape[0])?;
        for other in &inputs[1..] {
            if other.as_ref().is_none_or(|other| other.shape != a.shape) {
                return Err(ShapeError("gradients of one product differ in shape".to_owned()));
            }
        }
        Ok(vec![TensorFact::f32(vec![a.shape[1].clone(), b.shape[1].clone()]); inputs.len() - 1])
    }
}

impl Op for GatherGrad {
    own_domain!();

    fn name(&self) -> &'static str {
        "GatherGrad"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [table, _, _] = required(inputs)?;
        Ok(vec![table.clone()])
    }
}

impl Op for SumSquares {
    own_domain!();

    fn name(&self) -> &'static str {
        "SumSquares"
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [_] = required(inputs)?;
        Ok(vec![TensorFact::f32(vec![Dim::Fixed(1)])])
    }
}
