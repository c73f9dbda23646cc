//! What stands over an encoder's states: poolings and dense layers.
//!
//! Dimensions: `B` texts of a batch, `T` rows of token states, `H` width.

use super::builder::Builder;
use crate::engine::{ShapeError, Var};
use crate::model::head::Pooling;
use crate::model::sentences::{Dense, DenseActivation};

impl Builder {
    /// One vector for each text, padding left out: `[T, H]` → `[B, H]`.
    pub fn pooled(&mut self, x: Var, pooling: Pooling) -> Result<Var, ShapeError> {
        let mask = self.mask();
        match pooling {
            Pooling::Mean => self.g.mean_of_tokens(x, mask),
            Pooling::Cls => self.first_tokens(x),
            Pooling::Max => self.g.max_of_tokens(x, mask),
            Pooling::MeanSqrtLen => self.g.root_mean_of_tokens(x, mask),
            Pooling::Last => self.g.last_of_tokens(x, mask),
            Pooling::WeightedMean => self.g.weighted_mean_of_tokens(x, mask),
        }
    }

    /// A dense layer over the vectors: `[B, inputs]` → `[B, outputs]`.
    pub fn dense(&mut self, x: Var, dense: &Dense) -> Result<Var, ShapeError> {
        let module = dense.linear();
        let weight = self.weight(&module, dense.outputs, dense.inputs);
        let bias = dense.has_bias.then(|| self.bias(&module, dense.outputs));
        let x = self.g.linear(x, weight, bias)?;
        match dense.activation {
            DenseActivation::Identity => Ok(x),
            DenseActivation::Tanh => self.g.tanh(x),
            DenseActivation::Relu => self.g.relu(x),
            DenseActivation::Gelu => self.g.gelu(x, false),
        }
    }
}
