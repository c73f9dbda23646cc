//! `LayerNormalization` over the last axis (Ba et al. 2016).

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// (x − mean)/√(variance + ε)·γ + β over the last axis. Outputs: the result, the mean and the
/// inverse deviation.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormalization {
    pub epsilon: f32,
}

impl Op for LayerNormalization {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("axis", AttributeValue::Int(-1)), ("epsilon", AttributeValue::Float(self.epsilon))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x, gamma, beta] = required(inputs)?;
        let axis = x.axis(-1)?;
        if let Some(vector) =
            [gamma, beta].into_iter().find(|vector| vector.shape[..] != x.shape[axis..])
        {
            return Err(ShapeError(format!("a vector {vector} does not fit rows {x}")));
        }
        let mut statistic = x.clone();
        statistic.shape[axis] = Dim::Fixed(1);
        Ok(vec![x.clone(), statistic.clone(), statistic])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let Some(dy) = dy[0] else { return Ok(vec![None; 3]) };
        let (x, gamma) = (node.input(0), node.input(1));
        let (mean, inverse_deviation) = (node.outputs[1], node.outputs[2]);
        let centred = g.sub(x, mean)?;
        let normed = g.mul(centred, inverse_deviation)?;
        // With d = dy·γ: dx = (d − mean d − x̂·mean(d·x̂))/σ
        let d = g.mul(dy, gamma)?;
        let d_mean = g.reduce_mean(d, &[-1], true)?;
        let product = g.mul(d, normed)?;
        let product_mean = g.reduce_mean(product, &[-1], true)?;
        let along = g.mul(normed, product_mean)?;
        let rest = g.sub(d, d_mean)?;
        let rest = g.sub(rest, along)?;
        let dx = g.mul(rest, inverse_deviation)?;
        Ok(vec![Some(dx), Some(g.mul(dy, normed)?), Some(dy)])
    }
}
