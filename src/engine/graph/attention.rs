//! Building attention, in its fused and its standard form.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` rows ([`super::packing`]), `H`
//! width, `d` width of a head.

use std::collections::HashSet;

use super::build::{Built, DropoutAt};
use super::fact::{DType, ShapeError};
use super::graph::{Constant, Graph, Kernels, Source, Var};
use super::op::fused::{Attention, check_heads};

/// The heads of an attention, and how they score: factor·q·k/√d + bias.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub count: usize,
    pub factor: f32,
    /// `[1 or B, 1 or heads, L, L]`, those of a query in a row.
    pub bias: Option<Var>,
}

impl Heads {
    /// Returns heads that score q·k/√d (Vaswani et al. 2017).
    pub const fn plain(count: usize) -> Heads {
        Heads { count, factor: 1.0, bias: None }
    }

    /// Returns what products are multiplied with, where a head has a width.
    fn scale(self, width: usize) -> f32 {
        self.factor * (1.0 / (width as f32).sqrt())
    }
}

impl Graph {
    /// The rows x·Wᵀ + b for [`Graph::attention`], without the bias where its fused form adds that.
    pub fn projection(
        &mut self,
        x: Var,
        weight: Var,
        bias: Var,
    ) -> Result<(Var, Option<Var>), ShapeError> {
        Ok(match self.kernels() {
            Kernels::Fused => (self.linear(x, weight, None)?, Some(bias)),
            Kernels::Standard => (self.linear(x, weight, Some(bias))?, None),
        })
    }

    /// Multi-head attention: queries, keys and values `[T, H]`, each with a bias `[H]` that is
    /// still to be added, mask `[B, L]` (i64, 0 hides) → `[T, H]`.
    pub fn attention(
        &mut self,
        qkv: [(Var, Option<Var>); 3],
        mask: Var,
        heads: Heads,
        at: DropoutAt,
    ) -> Built {
        let count = heads.count;
        let (hidden, width) = check_heads(self.fact(qkv[0].0), self.fact(mask), count)?;
        if self.kernels() == Kernels::Fused {
            return self.fused_attention(qkv, mask, heads, at);
        }
        let (q, k, v) = (
            self.by_head(qkv[0], mask, count)?,
            self.by_head(qkv[1], mask, count)?,
            self.by_head(qkv[2], mask, count)?,
        );
        let k_transposed = self.transpose_last(k)?;
        let products = self.matmul(q, k_transposed)?; // [B, heads, L, L]
        let probabilities =
            self.attention_probabilities(products, heads.scale(width), heads.bias, mask, &[1, 2])?;
        let probabilities = self.dropout(probabilities, at)?;
        let context = self.matmul(probabilities, v)?;
        let context = self.transpose(context, &[0, 2, 1, 3])?;
        let context = self.reshape(context, &[-1, hidden as i64])?;
        self.of_tokens(context)
    }

    /// Rows `[T, H]` by head: `[B, heads, L, d]`.
    pub fn by_head(&mut self, (rows, bias): (Var, Option<Var>), mask: Var, heads: usize) -> Built {
        let (_, width) = check_heads(self.fact(rows), self.fact(mask), heads)?;
        let x = self.add_if(rows, bias)?;
        let rows = self.by_text(x, mask)?; // [B, L, H]
        let heads = self.reshape(rows, &[0, 0, heads as i64, width as i64])?;
        self.transpose(heads, &[0, 2, 1, 3])
    }

    fn fused_attention(
        &mut self,
        qkv: [(Var, Option<Var>); 3],
        mask: Var,
        heads: Heads,
        at: DropoutAt,
    ) -> Built {
        let (hidden, width) = check_heads(self.fact(qkv[0].0), self.fact(mask), heads.count)?;
        let key = at.key();
        let rate = if key.is_some() { at.rate } else { 0.0 };
        let mut inputs = qkv.map(|(rows, _)| Some(rows)).to_vec();
        for (_, bias) in qkv {
            let none = || Constant::F32(vec![hidden], vec![0.0; hidden]);
            inputs.push(bias.or_else(|| Some(self.constant(none()))));
        }
        // The kernel keeps the scores of a key in a row.
        let bias = heads.bias.map(|bias| self.transpose_last(bias)).transpose()?;
        inputs.extend([Some(mask), bias.or(inputs[3]), key]);
        let op = Attention {
            heads: heads.count,
            scale: heads.scale(width),
            has_bias: bias.is_some(),
            learns_bias: bias.is_some_and(|bias| self.may_learn(bias)),
            rate,
            site: at.site,
        };
        Ok(self.apply_optional(op, &inputs)?[0])
    }

    /// Says whether a tensor has a gradient in some training: not what is computed of constants,
    /// tokens and lengths alone.
    fn may_learn(&self, var: Var) -> bool {
        let mut sources = HashSet::from([var]);
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().any(|output| sources.contains(output)) {
                sources.extend(node.inputs.iter().flatten());
            }
        }
        sources.iter().any(|var| {
            let value = &self.values[var.0 as usize];
            match value.source {
                Source::Parameter(..) => true,
                Source::Input(_) => value.fact.dtype == DType::F32,
                Source::Constant(_) | Source::Node => false,
            }
        })
    }

    /// Multi-head attention with one query a text, its first: queries `[B, H]`, rows `[T, H]`, of
    /// which `key` and `value` (a weight `[H, H]` and a bias `[H]` each) would make keys and
    /// values, mask `[B, L]` (i64, 0 hides) → `[B, H]`.
    ///
    /// The products are taken in another order than in [`Graph::attention`], q·(W·x + b) as
    /// (Wᵀ·q)·x + q·b and Σ p·(W·x + b) as W·(Σ p·x) + b·Σ p, so that no weight is multiplied with
    /// every row.
    pub fn attention_of_one(
        &mut self,
        q: Var,
        rows: Var,
        [key, value]: [(Var, Var); 2],
        mask: Var,
        heads: Heads,
        at: DropoutAt,
    ) -> Built {
        let (hidden, width) = check_heads(self.fact(q), self.fact(mask), heads.count)?;
        let texts = self.fact(q).shape[0].clone();
        let (count, width_of_head) = (heads.count as i64, width as i64);
        let x = self.by_text(rows, mask)?; // [B, L, H]
        let q = self.reshape(q, &[-1, count, width_of_head])?;
        let q = self.transpose(q, &[1, 0, 2])?; // [heads, B, d]
        let weight = self.reshape(key.0, &[count, width_of_head, hidden as i64])?;
        let asked = self.matmul(q, weight)?; // [heads, B, H]
        let asked = self.transpose(asked, &[1, 0, 2])?; // [B, heads, H]
        let x_transposed = self.transpose_last(x)?;
        let products = self.matmul(asked, x_transposed)?; // [B, heads, L]
        // The same for every key, and so without effect but on the bias's own (vanishing) gradient.
        let bias = self.reshape(key.1, &[count, width_of_head, 1])?;
        let shift = self.matmul(q, bias)?; // [heads, B, 1]
        let shift = self.transpose(shift, &[1, 0, 2])?;
        let products = self.add(products, shift)?;
        let bias = match heads.bias {
            Some(bias) => {
                let of_first = self.slice(bias, 2, 0, 1)?; // [1 or B, 1 or heads, 1, L]
                Some(self.squeeze(of_first, &[2])?)
            }
            None => None,
        };
        let probabilities =
            self.attention_probabilities(products, heads.scale(width), bias, mask, &[1])?;
        let probabilities = self.dropout(probabilities, at)?; // [B, heads, L]
        let seen = self.matmul(probabilities, x)?; // [B, heads, H]
        let seen = self.transpose(seen, &[1, 0, 2])?; // [heads, B, H]
        let weight = self.reshape(value.0, &[count, width_of_head, hidden as i64])?;
        let weight = self.transpose_last(weight)?;
        let context = self.matmul(seen, weight)?; // [heads, B, d]
        let context = self.transpose(context, &[1, 0, 2])?; // [B, heads, d]
        let share = self.reduce_sum(probabilities, &[2], true)?; // [B, heads, 1]
        let bias = self.reshape(value.1, &[1, count, width_of_head])?;
        let bias = self.mul(share, bias)?;
        let context = self.add(context, bias)?;
        let context = self.reshape(context, &[-1, hidden as i64])?;
        // The name of the size is worth keeping: the masks of dropout are made by it.
        self.values[context.0 as usize].fact.shape[0] = texts;
        Ok(context)
    }

    /// Softmax over the visible keys: products `[B, ..., L]`, a bias that goes with them, and the
    /// mask `[B, L]`, which gets new axes at `axes`.
    fn attention_probabilities(
        &mut self,
        products: Var,
        scale: f32,
        bias: Option<Var>,
        mask: Var,
        axes: &[usize],
    ) -> Built {
        let scale = self.scalar(scale);
        let mut scores = self.mul(products, scale)?;
        if let Some(bias) = bias {
            scores = self.add(scores, bias)?;
        }
        let shows = self.cast(mask, DType::Bool)?;
        let (zero, low) = (self.scalar(0.0), self.scalar(f32::MIN));
        let additive = self.choose(shows, zero, low)?;
        let additive = self.unsqueeze(additive, axes)?;
        let scores = self.add(scores, additive)?;
        self.softmax(scores)
    }
}
