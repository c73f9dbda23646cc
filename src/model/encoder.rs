//! The encoders of the BERT family with their classification heads, as engine graphs.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, `H` width, `V` rows
//! of the word table, `K` classes. Hidden states are rows `[T, H]` throughout. A head that reads
//! only the first token needs only that token's row of the last layer, so that layer is computed
//! for `B` of them, whose queries look at all rows; the numbers are the same but for rounding.

use crate::engine::graph::build::{DropoutAt, DropoutSource};
use crate::engine::graph::graph::Constant;
use crate::engine::{DType, Dim, Graph, Kernels, Place, ShapeError, TensorFact, Var};

use super::config::{Activation, Architecture, Config};
use super::head::{Head, Pooling};
use super::names::{
    self, EMBEDDING_NORM, POSITION_EMBEDDINGS, TOKEN_TYPE_EMBEDDINGS, WORD_EMBEDDINGS,
};

/// What a network is built for.
#[derive(Clone, Copy, Debug)]
pub struct NetworkOptions {
    pub kernels: Kernels,
    pub dropout: Dropout,
    /// V: the rows of the word table that is bound, which may be fewer than the vocabulary's where
    /// token ids are remapped.
    pub word_rows: usize,
    /// Whether positions are computed from the tokens in the graph; else they are the input
    /// `position_ids` `[B, L]`.
    pub positions_in_graph: bool,
}

impl NetworkOptions {
    /// What our own inference uses: fused kernels, the whole word table, positions as an input.
    pub fn inference(config: &Config, place: Place) -> NetworkOptions {
        NetworkOptions {
            kernels: place.kernels(),
            dropout: Dropout::Off,
            word_rows: config.vocabulary,
            positions_in_graph: false,
        }
    }
}

/// Whether dropout is on, with the configuration's rates, and what decides its masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropout {
    Off,
    /// The input `dropout_key`: the same key gives the same masks.
    Keyed,
    /// ONNX Runtime's own generator from this seed, as other programs expect it and as GPUs want
    /// it: no mask has to travel there.
    Random(u32),
}

/// A network up to its logits.
#[derive(Debug)]
pub struct Network {
    /// Inputs `input_ids` and `attention_mask` `[B, L]` (i64), perhaps `position_ids` `[B, L]` and,
    /// in training, `dropout_key` `[1]`.
    pub graph: Graph,
    /// `[B, K]`
    pub logits: Var,
}

impl Network {
    /// Builds an encoder with a head for `labels` classes.
    pub fn new(
        config: &Config,
        head: Head,
        labels: usize,
        options: NetworkOptions,
    ) -> Result<Network, ShapeError> {
        let mut builder = Builder::new(config, options);
        let first_token_only = head != Head::Mean;
        let rows = builder.encoder(first_token_only)?;
        let logits = builder.head(head, labels, rows)?;
        Ok(Network { graph: builder.g, logits })
    }
}

/// Returns the graph of an encoder whose output `embedding` `[B, H]` is what a linear head over it
/// would read: the mean of the token states, or the first token's.
pub fn embedding(
    config: &Config,
    pooling: Pooling,
    options: NetworkOptions,
) -> Result<Graph, ShapeError> {
    let mut builder = Builder::new(config, options);
    let rows = builder.encoder(pooling == Pooling::Cls)?;
    let embedding = if pooling == Pooling::Mean { builder.mean(rows)? } else { rows };
    builder.g.output("embedding", embedding);
    Ok(builder.g)
}

pub(super) struct Builder<'a> {
    pub g: Graph,
    pub config: &'a Config,
    options: NetworkOptions,
    mask: Var,
    ids: Var,
    /// The word table, once the embeddings are built.
    pub words: Option<Var>,
    key: Option<Var>,
    sites: u32,
}

impl<'a> Builder<'a> {
    pub(super) fn new(config: &'a Config, options: NetworkOptions) -> Builder<'a> {
        let mut g = Graph::new(options.kernels);
        let ids = g.tokens_input("input_ids");
        let mask = g.tokens_input("attention_mask");
        let key = (options.dropout == Dropout::Keyed)
            .then(|| g.input("dropout_key", TensorFact::i64(vec![Dim::Fixed(1)])));
        Builder { g, config, options, mask, ids, words: None, key, sites: 0 }
    }

    /// The next place of dropout. Places are counted whether they drop or not, so that a rate of 0
    /// changes no other place's masks.
    fn dropout_at(&mut self, rate: f32) -> DropoutAt {
        self.sites += 1;
        let source = match (self.options.dropout, self.key) {
            (Dropout::Keyed, Some(key)) => DropoutSource::Key(key),
            (Dropout::Random(seed), _) => DropoutSource::Random(seed),
            _ => DropoutSource::None,
        };
        DropoutAt { rate, site: self.sites, source }
    }

    fn vector(&mut self, name: &str) -> Var {
        self.g.parameter(name, &[self.config.hidden])
    }

    pub(super) fn norm(&mut self, module: &str) -> (Var, Var, f32) {
        let gamma = self.vector(&format!("{module}.weight"));
        let beta = self.vector(&format!("{module}.bias"));
        (gamma, beta, self.config.layer_norm_epsilon)
    }

    fn weight(&mut self, module: &str, outputs: usize, inputs: usize) -> Var {
        self.g.parameter(&format!("{module}.weight"), &[outputs, inputs])
    }

    pub(super) fn bias(&mut self, module: &str, outputs: usize) -> Var {
        self.g.parameter(&format!("{module}.bias"), &[outputs])
    }

    /// A whole linear layer: `[rows, inputs]` → `[rows, outputs]`.
    fn linear(
        &mut self,
        x: Var,
        module: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Var, ShapeError> {
        let (weight, bias) = (self.weight(module, outputs, inputs), self.bias(module, outputs));
        self.g.linear(x, weight, Some(bias))
    }

    /// A linear layer without its bias, which is returned beside the result for the operator that
    /// follows to add.
    pub(super) fn linear_apart(
        &mut self,
        x: Var,
        module: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<(Var, Var), ShapeError> {
        let (weight, bias) = (self.weight(module, outputs, inputs), self.bias(module, outputs));
        Ok((self.g.linear(x, weight, None)?, bias))
    }

    /// The encoder's last states: `[T, H]`, or `[B, H]` of the first tokens.
    pub(super) fn encoder(&mut self, first_token_only: bool) -> Result<Var, ShapeError> {
        let mut x = self.embeddings()?; // [T, H]
        for index in 0..self.config.layers {
            let last = index + 1 == self.config.layers;
            x = self.layer(x, index, last && first_token_only)?;
        }
        if self.config.layers == 0 && first_token_only { self.first_tokens(x) } else { Ok(x) }
    }

    fn embeddings(&mut self) -> Result<Var, ShapeError> {
        let hidden = self.config.hidden;
        let words = self.g.parameter(WORD_EMBEDDINGS, &[self.options.word_rows, hidden]);
        self.words = Some(words);
        let positions = self.g.parameter(POSITION_EMBEDDINGS, &[self.config.positions, hidden]);
        let ids = self.g.reshape(self.ids, &[-1])?; // [T]
        let word_rows = self.g.gather(words, ids)?; // [T, H]
        let position_ids = if self.options.positions_in_graph {
            self.positions()?
        } else {
            self.g.tokens_input("position_ids")
        };
        let position_ids = self.g.reshape(position_ids, &[-1])?; // [T]
        let position_rows = self.g.gather(positions, position_ids)?; // [T, H]
        let mut sum = self.g.add(word_rows, position_rows)?;
        if self.config.token_types > 0 {
            // Single texts have type 0 throughout.
            let types = self.g.parameter(TOKEN_TYPE_EMBEDDINGS, &[self.config.token_types, hidden]);
            let zero = self.g.constant(Constant::ints(&[0]));
            let row = self.g.gather(types, zero)?; // [1, H]
            sum = self.g.add(sum, row)?;
        }
        let norm = self.norm(EMBEDDING_NORM);
        let normed = self.g.add_norm(sum, None, None, norm, DropoutAt::NONE)?;
        let at = self.dropout_at(self.config.hidden_dropout);
        self.g.dropout(normed, at)
    }

    /// Position numbers `[B, L]`: from 0, or for RoBERTa, whose padding has the padding id as its
    /// position, from the one after that.
    fn positions(&mut self) -> Result<Var, ShapeError> {
        let one = self.g.constant(Constant::I64(Vec::new(), vec![1]));
        if self.config.architecture == Architecture::Roberta {
            let padding =
                self.g.constant(Constant::I64(Vec::new(), vec![self.config.padding_id as i64]));
            let is_padding = self.g.equal(self.ids, padding)?;
            let is_token = self.g.not(is_padding)?;
            let tokens = self.g.cast(is_token, DType::I64)?;
            let counted = self.g.cumulative_sum(tokens, 1)?;
            let counted = self.g.mul(counted, tokens)?;
            return self.g.add(counted, padding);
        }
        // Padding is masked, so its positions need no care: every place of a row counts, from 0.
        let (sizes, known) = (self.g.shape(self.ids)?, self.g.fact(self.ids).shape.clone());
        let ones = self.g.expand(one, sizes, known)?;
        let counted = self.g.cumulative_sum(ones, 1)?;
        self.g.sub(counted, one)
    }

    /// The rows of the first tokens: `[T, H]` → `[B, H]`.
    fn first_tokens(&mut self, x: Var) -> Result<Var, ShapeError> {
        let texts = self.g.split_rows(x, self.mask)?; // [B, L, H]
        let first = self.g.slice(texts, 1, 0, 1)?; // [B, 1, H]
        self.g.squeeze(first, &[1])
    }

    /// One layer: `[T, H]` → `[T, H]`, or `[B, H]` where only first tokens are asked for.
    fn layer(&mut self, x: Var, index: usize, first_token_only: bool) -> Result<Var, ShapeError> {
        let (hidden, wide) = (self.config.hidden, self.config.intermediate);
        let names = names::layer(self.config.architecture, index);
        let asking = if first_token_only { self.first_tokens(x)? } else { x };
        let at = self.dropout_at(self.config.attention_dropout);
        let (mask, heads) = (self.mask, self.config.heads);
        let context = if first_token_only {
            let q = self.linear(asking, &names.query, hidden, hidden)?;
            let made = [&names.key, &names.value]
                .map(|module| (self.weight(module, hidden, hidden), self.bias(module, hidden)));
            self.g.attention_of_one(q, x, made, mask, heads, at)?
        } else {
            let [q, k, v] = [&names.query, &names.key, &names.value].map(|module| {
                let (weight, bias) =
                    (self.weight(module, hidden, hidden), self.bias(module, hidden));
                self.g.projection(x, weight, bias)
            });
            self.g.attention([q?, k?, v?], mask, heads, at)?
        };
        let (attended, bias) =
            self.linear_apart(context, &names.attention_output, hidden, hidden)?;
        // DistilBERT has no dropout here.
        let rate = if self.config.architecture == Architecture::DistilBert {
            0.0
        } else {
            self.config.hidden_dropout
        };
        let at = self.dropout_at(rate);
        let norm = self.norm(&names.attention_norm);
        let attended = self.g.add_norm(attended, Some(bias), Some(asking), norm, at)?;
        let (up, bias) = self.linear_apart(attended, &names.up, wide, hidden)?;
        let activated = self.activate(up, bias, self.config.activation)?;
        let (down, bias) = self.linear_apart(activated, &names.down, hidden, wide)?;
        let at = self.dropout_at(self.config.hidden_dropout);
        let norm = self.norm(&names.output_norm);
        self.g.add_norm(down, Some(bias), Some(attended), norm, at)
    }

    /// The activation of a linear layer's result and its bias.
    pub(super) fn activate(
        &mut self,
        x: Var,
        bias: Var,
        activation: Activation,
    ) -> Result<Var, ShapeError> {
        match activation {
            Activation::Gelu => self.g.bias_gelu(x, bias, false),
            Activation::GeluTanh => self.g.bias_gelu(x, bias, true),
            Activation::Relu => {
                let sum = self.g.add(x, bias)?;
                self.g.relu(sum)
            }
        }
    }

    /// The logits `[B, K]` from `[B, H]`, or from `[T, H]` for the mean.
    fn head(&mut self, head: Head, labels: usize, x: Var) -> Result<Var, ShapeError> {
        let hidden = self.config.hidden;
        let rate = self.config.classifier_dropout;
        let mut x = if head == Head::Mean { self.mean(x)? } else { x };
        let mut last = "classifier";
        match (head, self.config.architecture) {
            (Head::Auto, Architecture::Bert) => {
                x = self.linear(x, "pooler.dense", hidden, hidden)?;
                x = self.g.tanh(x)?;
            }
            (Head::Auto, Architecture::Roberta) => {
                let at = self.dropout_at(rate);
                x = self.g.dropout(x, at)?;
                x = self.linear(x, "classifier.dense", hidden, hidden)?;
                x = self.g.tanh(x)?;
                last = "classifier.out_proj";
            }
            (Head::Auto, Architecture::DistilBert) => {
                x = self.linear(x, "pre_classifier", hidden, hidden)?;
                x = self.g.relu(x)?;
            }
            (Head::Mean | Head::Cls, _) => {}
        }
        let at = self.dropout_at(rate);
        x = self.g.dropout(x, at)?;
        self.linear(x, last, labels, hidden)
    }

    /// The mean of a text's token states, padding left out: `[T, H]` → `[B, H]`.
    fn mean(&mut self, x: Var) -> Result<Var, ShapeError> {
        let texts = self.g.split_rows(x, self.mask)?; // [B, L, H]
        let mask = self.g.cast(self.mask, DType::F32)?; // [B, L]
        let count = self.g.reduce_sum(mask, &[1], true)?; // [B, 1]
        let mask = self.g.unsqueeze(mask, &[2])?; // [B, L, 1]
        let visible = self.g.mul(texts, mask)?;
        let sum = self.g.reduce_sum(visible, &[1], false)?; // [B, H]
        self.g.div(sum, count)
    }
}
