//! From the token states of texts to one vector each, in standard operators.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `H` width, `E` width of a text's
//! vector. A mask `[B, L]` (i64) is 1 for tokens and 0 for padding, which stands
//! at the right.

use super::fact::{DType, ShapeError};
use super::graph::{Constant, Graph, Var};

/// Below this length a vector counts as this long when it is scaled to length 1, as in PyTorch.
const SHORTEST: f32 = 1e-12;

/// Beneath all states, but a number in half precision too.
const LOWEST: f32 = -65_504.0;

/// Poolings of states by text ([`Graph::by_text`]): `[B, L, H]` → `[B, H]`, padding left out.
impl Graph {
    /// The mean of a text's token states.
    pub fn mean_of_tokens(&mut self, x: Var, mask: Var) -> Result<Var, ShapeError> {
        let seen = self.cast(mask, DType::F32)?; // [B, L]
        let count = self.reduce_sum(seen, &[1], true)?; // [B, 1]
        let sum = self.weighted_sum(x, seen)?; // [B, H]
        self.div(sum, count)
    }

    /// The sum of a text's token states over the root of their number.
    pub fn root_mean_of_tokens(&mut self, x: Var, mask: Var) -> Result<Var, ShapeError> {
        let seen = self.cast(mask, DType::F32)?; // [B, L]
        let count = self.reduce_sum(seen, &[1], true)?; // [B, 1]
        let root = self.sqrt(count)?;
        let sum = self.weighted_sum(x, seen)?; // [B, H]
        self.div(sum, root)
    }

    /// The mean of a text's token states with the weights 1, 2, 3 and so on.
    pub fn weighted_mean_of_tokens(&mut self, x: Var, mask: Var) -> Result<Var, ShapeError> {
        let places = self.cumulative_sum(mask, 1)?; // [B, L]
        let places = self.mul(places, mask)?;
        let weights = self.cast(places, DType::F32)?;
        let whole = self.reduce_sum(weights, &[1], true)?; // [B, 1]
        let sum = self.weighted_sum(x, weights)?; // [B, H]
        self.div(sum, whole)
    }

    /// The state of a text's last token.
    pub fn last_of_tokens(&mut self, x: Var, mask: Var) -> Result<Var, ShapeError> {
        let seen = self.cast(mask, DType::F32)?; // [B, L]
        let count = self.reduce_sum(seen, &[1], true)?; // [B, 1]
        let places = self.cumulative_sum(mask, 1)?; // [B, L]
        let places = self.cast(places, DType::F32)?;
        let at_last = self.equal(places, count)?;
        let at_last = self.cast(at_last, DType::F32)?;
        // Padding has the place of the token before it.
        let only_last = self.mul(at_last, seen)?;
        self.weighted_sum(x, only_last)
    }

    /// The largest value of each dimension among a text's tokens.
    pub fn max_of_tokens(&mut self, x: Var, mask: Var) -> Result<Var, ShapeError> {
        let one = self.constant(Constant::I64(Vec::new(), vec![1]));
        let is_token = self.greater_or_equal(mask, one)?;
        let is_token = self.unsqueeze(is_token, &[2])?; // [B, L, 1]
        let lowest = self.scalar(LOWEST);
        let visible = self.choose(is_token, x, lowest)?;
        self.reduce_max(visible, &[1], false)
    }

    /// The sum of a text's token states with weights `[B, L]`.
    fn weighted_sum(&mut self, x: Var, weights: Var) -> Result<Var, ShapeError> {
        let weights = self.unsqueeze(weights, &[2])?; // [B, L, 1]
        let weighted = self.mul(x, weights)?;
        self.reduce_sum(weighted, &[1], false)
    }
}

impl Graph {
    /// Vectors `[B, E]` scaled to length 1.
    pub fn scaled_to_one(&mut self, x: Var) -> Result<Var, ShapeError> {
        let squares = self.mul(x, x)?;
        let sum = self.reduce_sum(squares, &[1], true)?; // [B, 1]
        // A root has no slope at 0.
        let least = self.scalar(SHORTEST * SHORTEST);
        let sum = self.add(sum, least)?;
        let length = self.sqrt(sum)?;
        self.div(x, length)
    }
}
