//! What stands over an encoder's states: poolings and dense layers.
//!
//! Dimensions: `B` texts of a batch, `T` rows of token states, `H` width.

use super::builder::Builder;
use crate::engine::{Graph, ShapeError, Var};
use crate::model::head::Pooling;
use crate::model::sentences::{Dense, DenseActivation};

impl Builder {
    /// One vector for each text, padding left out: `[T, H]` → `[B, H]`.
    pub fn pooled(&mut self, x: Var, pooling: Pooling) -> Result<Var, ShapeError> {
        let pool: fn(&mut Graph, Var, Var) -> Result<Var, ShapeError> = match pooling {
            Pooling::Cls => return self.first_tokens(x),
            Pooling::Mean => Graph::mean_of_tokens,
            Pooling::Max => Graph::max_of_tokens,
            Pooling::MeanSqrtLen => Graph::root_mean_of_tokens,
            Pooling::Last => Graph::last_of_tokens,
            Pooling::WeightedMean => Graph::weighted_mean_of_tokens,
        };
        let mask = self.mask();
        let texts = self.g.by_text(x, mask)?; // [B, L, H]
        pool(&mut self.g, texts, mask)
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
