//! The blocks that layers and heads are built of.
//!
//! Dimensions: `B` texts of a batch, `T` rows of token states, `H` width.

use super::builder::{Activation, Apart, Builder, Norm};
use crate::engine::graph::attention::Heads;
use crate::engine::graph::build::DropoutAt;
use crate::engine::{ShapeError, Var};

impl Builder {
    /// A whole linear layer: `[rows, inputs]` → `[rows, outputs]`.
    pub fn linear(
        &mut self,
        x: Var,
        module: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Var, ShapeError> {
        let (weight, bias) = (self.weight(module, outputs, inputs), self.bias(module, outputs));
        self.g.linear(x, weight, Some(bias))
    }

    /// A linear layer that leaves its bias to the block that follows.
    pub fn linear_apart(
        &mut self,
        x: Var,
        module: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Apart, ShapeError> {
        let (weight, bias) = (self.weight(module, outputs, inputs), self.bias(module, outputs));
        Ok((self.g.linear(x, weight, None)?, Some(bias)))
    }

    /// A linear layer that may have no bias: `[rows, inputs]` → `[rows, outputs]`.
    pub fn linear_if(
        &mut self,
        x: Var,
        module: &str,
        [outputs, inputs]: [usize; 2],
        has_bias: bool,
    ) -> Result<Var, ShapeError> {
        let weight = self.weight(module, outputs, inputs);
        let bias = has_bias.then(|| self.bias(module, outputs));
        self.g.linear(x, weight, bias)
    }

    pub fn dropout(&mut self, x: Var, rate: f32) -> Result<Var, ShapeError> {
        let at = self.dropout_at(rate);
        self.g.dropout(x, at)
    }

    /// LayerNorm(x).
    pub fn normed(&mut self, x: Var, norm: Norm) -> Result<Var, ShapeError> {
        self.g.add_norm(x, None, None, norm, DropoutAt::NONE)
    }

    /// residual + dropout(x + bias), the end of a pre-norm block.
    pub fn add(&mut self, (x, bias): Apart, residual: Var, rate: f32) -> Result<Var, ShapeError> {
        let x = self.g.add_if(x, bias)?;
        let x = self.dropout(x, rate)?;
        self.g.add(residual, x)
    }

    /// LayerNorm(residual + dropout(x + bias)), the end of a post-norm block.
    pub fn add_norm(
        &mut self,
        (x, bias): Apart,
        residual: Var,
        norm: Norm,
        rate: f32,
    ) -> Result<Var, ShapeError> {
        let at = self.dropout_at(rate);
        self.g.add_norm(x, bias, Some(residual), norm, at)
    }

    /// The activation of a linear layer's result and its bias.
    pub fn activate(
        &mut self,
        (x, bias): Apart,
        activation: Activation,
    ) -> Result<Var, ShapeError> {
        let tanh = match activation {
            Activation::Gelu => false,
            Activation::GeluTanh => true,
            Activation::Relu => {
                let sum = self.g.add_if(x, bias)?;
                return self.g.relu(sum);
            }
            Activation::Tanh => {
                let sum = self.g.add_if(x, bias)?;
                return self.g.tanh(sum);
            }
            Activation::Silu => {
                let sum = self.g.add_if(x, bias)?;
                return self.silu(sum);
            }
        };
        match bias {
            Some(bias) => self.g.bias_gelu(x, bias, tanh),
            None => self.g.gelu_of_rows(x, tanh),
        }
    }

    /// x·σ(x) as ½x·(1 + tanh ½x), which overflows nowhere.
    fn silu(&mut self, x: Var) -> Result<Var, ShapeError> {
        let half = self.g.scalar(0.5);
        let halved = self.g.mul(x, half)?;
        let turned = self.g.tanh(halved)?;
        let share = self.g.mul(halved, turned)?;
        self.g.add(halved, share)
    }

    /// Rows `[T, H]` → queries, keys and values `[T, H]` by one module for the three.
    pub fn packed(
        &mut self,
        x: Var,
        module: &str,
        hidden: usize,
        has_bias: bool,
    ) -> Result<[Var; 3], ShapeError> {
        let all = self.linear_if(x, module, [3 * hidden, hidden], has_bias)?; // [T, 3H]
        let mut part = |index: usize| self.g.slice(all, 1, index * hidden, (index + 1) * hidden);
        Ok([part(0)?, part(1)?, part(2)?])
    }

    /// The feed-forward layer with its modules `up` and `down`.
    pub fn mlp(
        &mut self,
        x: Var,
        [up, down]: [&str; 2],
        [hidden, wide]: [usize; 2],
        activation: Activation,
    ) -> Result<Apart, ShapeError> {
        let up = self.linear_apart(x, up, wide, hidden)?;
        let x = self.activate(up, activation)?;
        self.linear_apart(x, down, hidden, wide)
    }

    /// A dense layer, its activation and a norm: what masked-language-model heads begin with. Its
    /// output has the width of the words.
    pub fn transform(
        &mut self,
        x: Var,
        [dense, norm]: [&str; 2],
        [width, hidden]: [usize; 2],
        activation: Activation,
        epsilon: f32,
    ) -> Result<Var, ShapeError> {
        let x = self.linear_apart(x, dense, width, hidden)?;
        let x = self.activate(x, activation)?;
        let norm = self.norm(norm, width, epsilon);
        self.normed(x, norm)
    }

    /// Multi-head attention to all states `x` `[T, H]` by the modules of queries, keys and values.
    /// `asking` are the rows that queries are made of: `x` itself, or its first tokens `[B, H]`.
    pub fn attention(
        &mut self,
        asking: Var,
        x: Var,
        modules: &[String; 3],
        hidden: usize,
        heads: Heads,
        rate: f32,
    ) -> Result<Var, ShapeError> {
        let [query, key, value] = modules;
        if asking == x {
            let made = [query, key, value].map(|module| {
                let (weight, bias) =
                    (self.weight(module, hidden, hidden), self.bias(module, hidden));
                self.g.projection(x, weight, bias)
            });
            let [q, k, v] = made;
            return self.attend([q?, k?, v?], heads, rate);
        }
        let at = self.dropout_at(rate);
        let q = self.linear(asking, query, hidden, hidden)?;
        let made = [key, value]
            .map(|module| (self.weight(module, hidden, hidden), self.bias(module, hidden)));
        self.g.attention_of_one(q, x, made, self.mask(), heads, at)
    }

    /// Multi-head attention of queries, keys and values `[T, H]`, each perhaps with a bias `[H]`
    /// that is still to be added, to each other.
    pub fn attend(
        &mut self,
        qkv: [(Var, Option<Var>); 3],
        heads: Heads,
        rate: f32,
    ) -> Result<Var, ShapeError> {
        let at = self.dropout_at(rate);
        self.g.attention(qkv, self.mask(), heads, at)
    }
}
