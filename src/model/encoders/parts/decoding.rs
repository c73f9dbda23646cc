//! Layers of an encoder as those of a decoder: each token sees those before it, and beside them a
//! vector of another text.
//!
//! Dimensions: `B` texts of a batch, `D` tokens of the longest that is decoded, `T` their rows, `H`
//! width, `E` width of a vector.

use super::builder::{Builder, Decoding};
use crate::engine::graph::attention::Heads;
use crate::engine::graph::graph::Constant;
use crate::engine::graph::packing::PackingNames;
use crate::engine::{Dim, ShapeError, TensorFact, Var};

/// The inputs i64 `[B, D]` with the tokens that are decoded and their mask.
pub const DECODED: &str = "decoded_ids";
pub const DECODED_MASK: &str = "decoded_mask";

/// The packing of the decoded tokens.
pub const DECODED_ROWS: PackingNames = PackingNames {
    tokens: "decoded_token_places",
    places: "decoded_place_rows",
    sizes: ["U", "B·D"],
};

impl Builder {
    /// Reads the inputs [`DECODED`] and [`DECODED_MASK`] from here on, each text with its vector
    /// `[B, E]` beside it. Layers that are built again have the same parameters.
    pub fn decode(&mut self, vectors: Var, width: usize) -> Result<(), ShapeError> {
        let shape = || TensorFact::i64(vec![Dim::Named("B"), Dim::Named("D")]);
        let (ids, mask) = (self.g.input(DECODED, shape()), self.g.input(DECODED_MASK, shape()));
        self.read_from(ids, mask, &DECODED_ROWS);
        let before = self.before()?;
        let texts = self.texts_of_rows()?;
        self.decoding = Some(Decoding { vectors: (vectors, width), texts, before });
        Ok(())
    }

    /// Returns heads that see no later token, where the layer is one of a decoder.
    pub fn looking_back(&mut self, heads: Heads) -> Result<Heads, ShapeError> {
        let Some(Decoding { before, .. }) = self.decoding else { return Ok(heads) };
        let bias = Some(self.g.add_if(before, heads.bias)?);
        Ok(Heads { bias, ..heads })
    }

    /// What a layer of a decoder does after its attention, and that of an encoder does not: rows
    /// `[T, H]` attend to the vector of their text, then comes a norm with its ε, after dropout at
    /// a rate.
    ///
    /// The softmax over a single key is 1, so that queries and keys have no effect, and their
    /// weights are left out. The rest has the names of `transformers`.
    pub fn beside(
        &mut self,
        x: Var,
        layer: &str,
        hidden: usize,
        (epsilon, rate): (f32, f32),
    ) -> Result<Var, ShapeError> {
        let Some(Decoding { vectors: (vectors, width), texts, .. }) = self.decoding else {
            return Ok(x);
        };
        let module = |name: &str| format!("{layer}.crossattention.{name}");
        let values = self.linear(vectors, &module("self.value"), hidden, width)?; // [B, H]
        let made = self.linear(values, &module("output.dense"), hidden, hidden)?;
        let made = self.g.gather(made, texts)?; // [T, H]
        let norm = self.norm(&module("output.LayerNorm"), hidden, epsilon);
        self.add_norm((made, None), x, norm, rate)
    }

    /// A bias of scores `[1, 1, D, D]` that hides keys behind the query.
    fn before(&mut self) -> Result<Var, ShapeError> {
        let distances = self.distances()?;
        let here = self.g.constant(Constant::ints(&[0]));
        let is_seen = self.g.less_or_equal(distances, here)?;
        self.hiding(is_seen)
    }

    /// The text of each row `[T]`, counted from 0.
    fn texts_of_rows(&mut self) -> Result<Var, ShapeError> {
        let numbers = self.counted(0)?; // [B, D]
        let numbers = self.g.reshape(numbers, &[-1])?;
        self.g.of_tokens(numbers)
    }
}
