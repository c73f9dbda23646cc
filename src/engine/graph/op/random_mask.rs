//! The standard's `Dropout`, of which only the mask is used.

use super::contract::{Op, required};
use crate::engine::graph::fact::{DType, ShapeError, TensorFact};
use crate::engine::graph::graph::Constant;
use crate::engine::graph::op::contract::AttributeValue;

/// Which elements of a tensor dropout keeps, by ONNX Runtime's own generator; without a gradient.
///
/// Outputs: the tensor with elements dropped, and the truth values. ONNX Runtime removes a
/// `Dropout` whose truth values nobody reads.
#[derive(Clone, Copy, Debug)]
pub struct RandomMask {
    pub rate: f32,
    /// The number of this place, which seeds its generator together with the training's seed.
    pub site: u32,
    pub seed: u32,
}

impl Op for RandomMask {
    fn name(&self) -> &'static str {
        "Dropout"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("seed", AttributeValue::Int(i64::from(self.seed) << 16 ^ i64::from(self.site)))]
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant::scalar(self.rate), Constant::Bool(true)]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        Ok(vec![x.clone(), TensorFact { dtype: DType::Bool, shape: x.shape.clone() }])
    }

    /// The mask does not depend on what is dropped.
    fn grad(
        &self,
        _: &mut crate::engine::graph::graph::Graph,
        _: &super::contract::OpNode,
        _: &[Option<crate::engine::graph::graph::Var>],
    ) -> Result<Vec<Option<crate::engine::graph::graph::Var>>, super::contract::GradError> {
        Ok(vec![None])
    }
}
