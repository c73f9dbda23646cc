//! The blocks that layers and heads are built of.
//!
//! Dimensions: `B` texts of a batch, `T` rows of token states, `H` width.

use super::builder::{Activation, Apart, Builder, Norm};
use super::module::Role;
use crate::engine::graph::attention::Heads;
use crate::engine::graph::build::DropoutAt;
use crate::engine::{ShapeError, Var};

impl Builder {
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
        self.down_apart(x, down, [hidden, wide])
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
        let sizes = [hidden, hidden];
        // The products below need keys and values to be nothing but their weights' and biases'.
        let [_, keys, values] = [(query, Role::Query), (key, Role::Key), (value, Role::Value)]
            .map(|(module, role)| self.adapts(module, sizes, role));
        if asking == x || keys || values {
            let made = self.projections(x, modules, hidden)?;
            let context = self.attend(made, heads, rate)?;
            return if asking == x { Ok(context) } else { self.first_tokens(context) };
        }
        let at = self.dropout_at(rate);
        let q = self.query(asking, query, hidden)?;
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
