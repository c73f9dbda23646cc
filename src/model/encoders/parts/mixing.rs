//! States of texts that are mixed with those of others of the batch, between two layers.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, padding too, `H`
//! width, `C` places where they may be mixed.

use super::builder::{Builder, MixingInputs};
use crate::engine::{DType, Dim, ShapeError, TensorFact, Var};

/// The input i64 `[B]` with the row that each text is mixed with.
pub const PARTNERS: &str = "partners";
/// The input f32 `[B, 1]` with what the partner counts.
pub const PARTNER_SHARES: &str = "partner_shares";
/// The input f32 `[C, 1]` with 1 for the place where the batch is mixed and 0 for all others.
pub const MIXED_AT: &str = "mixed_at";

impl Builder {
    /// Mixes states after so many layers, where the inputs ask for it.
    pub fn mix_after(&mut self, layers: &[usize]) {
        self.mixed_after = layers.to_vec();
    }

    /// Returns states after so many layers, `[T, H]` or of first tokens `[B, H]`, mixed with those
    /// of each text's partner: h + (1 − λ)(h' − h).
    ///
    /// From there on a place counts where either text has a token, since its states are mixed of
    /// both. Where the inputs ask for another place, states and mask are left as they are.
    pub(in crate::model) fn mixed(
        &mut self,
        x: Var,
        after: usize,
        first_token_only: bool,
    ) -> Result<Var, ShapeError> {
        let Some(place) = self.mixed_after.iter().position(|own| *own == after) else {
            return Ok(x);
        };
        let MixingInputs { partners, shares, at } = self.mixing_inputs();
        let here = self.g.slice(at, 0, place, place + 1)?; // [1, 1]
        let shares = self.g.mul(shares, here)?; // [B, 1]
        let (rows, shares) = match first_token_only {
            true => (partners, shares),
            false => (self.rows_of(partners)?, self.by_token(shares)?),
        };
        let others = self.g.gather(x, rows)?;
        let apart = self.g.sub(others, x)?;
        let moved = self.g.mul(apart, shares)?;
        let mixed = self.g.add(x, moved)?;
        // The tokens that the partner alone has.
        let theirs = self.g.gather(self.mask, partners)?; // [B, L]
        let both = self.g.mul(theirs, self.mask)?;
        let more = self.g.sub(theirs, both)?;
        let here = self.g.cast(here, DType::I64)?;
        let more = self.g.mul(more, here)?;
        self.mask = self.g.add(self.mask, more)?;
        Ok(mixed)
    }

    fn mixing_inputs(&mut self) -> MixingInputs {
        if let Some(inputs) = self.mixing {
            return inputs;
        }
        let texts = Dim::Named("B");
        let places = Dim::Fixed(self.mixed_after.len());
        let inputs = MixingInputs {
            partners: self.g.input(PARTNERS, TensorFact::i64(vec![texts.clone()])),
            shares: self.g.input(PARTNER_SHARES, TensorFact::f32(vec![texts, Dim::Fixed(1)])),
            at: self.g.input(MIXED_AT, TensorFact::f32(vec![places, Dim::Fixed(1)])),
        };
        self.mixing = Some(inputs);
        inputs
    }

    /// The rows `[T]` of the tokens of texts `[B]`.
    fn rows_of(&mut self, texts: Var) -> Result<Var, ShapeError> {
        let (length, places) = (self.length()?, self.places()?);
        let texts = self.g.unsqueeze(texts, &[1])?; // [B, 1]
        let first = self.g.mul(texts, length)?;
        let rows = self.g.add(first, places)?; // [B, L]
        self.g.reshape(rows, &[-1])
    }

    /// Numbers of texts `[B, 1]` for each of their tokens, `[T, 1]`.
    fn by_token(&mut self, numbers: Var) -> Result<Var, ShapeError> {
        let (sizes, known) = (self.g.shape(self.mask)?, self.g.fact(self.mask).shape.clone());
        let zeros = self.g.zeros(sizes, known)?; // [B, L]
        let all = self.g.add(zeros, numbers)?;
        self.g.reshape(all, &[-1, 1])
    }
}
