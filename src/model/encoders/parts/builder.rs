//! A graph in the making: its inputs, parameters and embeddings, and what pools its states.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, `H` width, `V` rows
//! of the word table. Hidden states are rows `[T, H]` throughout.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::module::Module;
use crate::engine::graph::build::{DropoutAt, DropoutSource};
use crate::engine::graph::graph::Constant;
use crate::engine::graph::packing::{PackingNames, WHOLE_TEXTS};
use crate::engine::{DType, Dim, Graph, Initial, Kernels, Marks, ShapeError, TensorFact, Var};

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
    /// Whether the rows of padding are left out, which [`TOKENS`] and [`PLACES`] then tell of.
    ///
    /// [`TOKENS`]: crate::engine::graph::packing::TOKENS
    /// [`PLACES`]: crate::engine::graph::packing::PLACES
    pub packed: bool,
}

impl NetworkOptions {
    /// Says whether the network is trained: others have no dropout, not even at a rate of 0.
    pub fn trains(self) -> bool {
        self.dropout != Dropout::Off
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

/// The activation of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// The exact GELU, x·Φ(x).
    Gelu,
    /// GELU's approximation by tanh (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    Relu,
    Tanh,
    /// x·σ(x) (`silu`, `swish`).
    Silu,
}

/// How a text's tokens are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// From 0.
    FromZero,
    /// From the number after the padding token's id, which is the number of all padding.
    AfterPadding,
}

impl Positions {
    /// Returns the number of the first token.
    pub fn first(self, padding_id: usize) -> usize {
        match self {
            Positions::FromZero => 0,
            Positions::AfterPadding => padding_id + 1,
        }
    }
}

/// γ and β of a norm `[H]`, and its ε.
pub type Norm = (Var, Var, f32);

/// A linear layer's result without its bias, and the bias, which the block that follows adds.
pub type Apart = (Var, Option<Var>);

/// What is put into linear layers of an encoder, and trained in their place.
pub trait Adapts: fmt::Debug + Send + Sync {
    /// Says whether a linear layer gets something.
    fn targets(&self, module: &Module) -> bool;

    /// Returns what such a layer reads in place of the rows `x` `[T, inputs]`.
    fn input(&self, _: &mut Builder, x: Var, _: &Module) -> Result<Var, ShapeError> {
        Ok(x)
    }

    /// Returns what such a layer multiplies with in place of its weight `[outputs, inputs]`.
    fn weight(&self, _: &mut Builder, weight: Var, _: &Module) -> Result<Var, ShapeError> {
        Ok(weight)
    }

    /// Returns what becomes of such a layer's result `[T, outputs]`; `x` is what it read.
    fn output(
        &self,
        _: &mut Builder,
        _x: Var,
        made: Apart,
        _: &Module,
    ) -> Result<Apart, ShapeError> {
        Ok(made)
    }
}

/// The first place of dropout in adapters, far above those of the network: what is put into it
/// changes no other place's masks.
const ADAPTER_SITES: u32 = 1 << 15;

/// A graph in the making. Parameters are named relative to the encoder.
///
/// A name that is asked for again is the same parameter, so layers may share theirs; it then
/// counts to the highest of them.
pub struct Builder {
    pub g: Graph,
    options: NetworkOptions,
    /// `[B, L]`, 1 for a token and 0 for padding.
    pub(super) mask: Var,
    ids: Var,
    key: Option<Var>,
    sites: u32,
    adapter_sites: u32,
    /// The marks of the part that is being built.
    part: Marks,
    parameters: BTreeMap<String, Var>,
    words: Option<Var>,
    kept: BTreeMap<&'static str, Var>,
    pub(super) adapter: Option<Arc<dyn Adapts>>,
    pub(super) modules: Vec<Module>,
    /// The numbers of layers after which states may be mixed; 0 is below the first.
    pub(super) mixed_after: Vec<usize>,
    pub(super) mixing: Option<MixingInputs>,
    /// What a decoder's layers need, where one is being built.
    pub(super) decoding: Option<Decoding>,
}

/// The inputs that say with whom, how much and where the states of texts are mixed.
#[derive(Clone, Copy, Debug)]
pub(super) struct MixingInputs {
    pub partners: Var,
    pub shares: Var,
    pub at: Var,
}

/// What the layers of a decoder need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoding {
    /// The vectors `[B, E]`, and E.
    pub vectors: (Var, usize),
    /// `[T]`, the text of each row.
    pub texts: Var,
    /// A bias of scores `[1, 1, L, L]` that hides what follows a token.
    pub before: Var,
}

/// What every network has.
impl Builder {
    /// Returns a graph with the inputs that every network has.
    pub fn new(options: NetworkOptions) -> Builder {
        let mut g = Graph::new(options.kernels);
        let ids = g.tokens_input("input_ids");
        let mask = g.tokens_input("attention_mask");
        if options.packed {
            g.pack(&WHOLE_TEXTS);
        }
        let key = (options.dropout == Dropout::Keyed)
            .then(|| g.input("dropout_key", TensorFact::i64(vec![Dim::Fixed(1)])));
        Builder {
            g,
            options,
            mask,
            ids,
            key,
            sites: 0,
            adapter_sites: ADAPTER_SITES,
            part: Marks::default(),
            parameters: BTreeMap::new(),
            words: None,
            kept: BTreeMap::new(),
            adapter: None,
            modules: Vec::new(),
            mixed_after: Vec::new(),
            mixing: None,
            decoding: None,
        }
    }

    /// Reads other tokens and another mask from here on, whose positions are computed in the graph.
    pub(super) fn read_from(&mut self, ids: Var, mask: Var, packing: &PackingNames) {
        (self.ids, self.mask) = (ids, mask);
        self.options.positions_in_graph = true;
        if self.options.packed {
            self.g.pack(packing);
        }
    }

    /// Says whether the last layer may be computed for one token of each text alone.
    pub fn computes_one(&self) -> bool {
        self.options.trains() || self.options.kernels == Kernels::Standard
    }

    /// Puts something into the linear layers of the layers that follow.
    pub fn adapt(&mut self, adapter: Option<Arc<dyn Adapts>>) {
        self.adapter = adapter;
    }

    /// Marks the parameters that follow as those of a layer, or of none.
    pub fn enter_layer(&mut self, index: Option<usize>) {
        self.part = Marks { layer: index, ..Marks::default() };
    }

    /// Marks the parameters that follow as those of the head.
    pub fn enter_head(&mut self) {
        self.part = Marks { head: true, ..Marks::default() };
    }

    /// The mask `[B, L]`: 1 for a token, 0 for padding.
    pub(super) fn mask(&self) -> Var {
        self.mask
    }

    /// Keeps a tensor that all layers use.
    pub fn keep(&mut self, name: &'static str, var: Var) {
        self.kept.insert(name, var);
    }

    /// Returns a tensor that was kept.
    pub fn kept(&self, name: &'static str) -> Result<Var, ShapeError> {
        let none = || ShapeError(format!("the encoder's embeddings made no `{name}`"));
        self.kept.get(name).copied().ok_or_else(none)
    }

    /// The next place of dropout. Places are counted whether they drop or not, so that a rate of 0
    /// changes no other place's masks.
    pub(super) fn dropout_at(&mut self, rate: f32) -> DropoutAt {
        self.sites += 1;
        self.dropout_of(rate, self.sites)
    }

    /// Drops elements of what an adapter reads.
    pub fn adapter_dropout(&mut self, x: Var, rate: f32) -> Result<Var, ShapeError> {
        self.adapter_sites += 1;
        let at = self.dropout_of(rate, self.adapter_sites);
        self.g.dropout(x, at)
    }

    fn dropout_of(&self, rate: f32, site: u32) -> DropoutAt {
        let source = match (self.options.dropout, self.key) {
            (Dropout::Keyed, Some(key)) => DropoutSource::Key(key),
            (Dropout::Random(seed), _) => DropoutSource::Random(seed),
            _ => DropoutSource::None,
        };
        DropoutAt { rate, site, source }
    }
}

/// Parameters.
impl Builder {
    fn parameter(&mut self, name: String, shape: &[usize], marks: Marks) -> Var {
        if let Some(known) = self.parameters.get(&name) {
            self.g.raise_layer(*known, marks.layer);
            return *known;
        }
        let var = self.g.parameter(&name, shape, marks);
        self.parameters.insert(name, var);
        var
    }

    /// The factors of a norm, which weight decay spares.
    fn factors(&mut self, name: String, width: usize) -> Var {
        let marks = Marks { no_decay: true, initial: Initial::Ones, ..self.part };
        self.parameter(name, &[width], marks)
    }

    /// What is added to rows, which weight decay spares.
    fn added(&mut self, name: String, width: usize) -> Var {
        let marks = Marks { no_decay: true, bias: true, initial: Initial::Zeros, ..self.part };
        self.parameter(name, &[width], marks)
    }

    /// A matrix `[outputs, inputs]` of an adapter, or a vector, which weight decay spares.
    pub fn of_adapter(&mut self, name: String, shape: &[usize], initial: Initial) -> Var {
        let no_decay = shape.len() == 1;
        self.parameter(name, shape, Marks { adapter: true, no_decay, initial, ..self.part })
    }

    /// Says whether it is a layer's parameters that are being made.
    pub(super) fn is_in_layer(&self) -> bool {
        self.part.layer.is_some()
    }

    /// The weight of a linear layer, as PyTorch stores it: `[outputs, inputs]`.
    pub fn weight(&mut self, module: &str, outputs: usize, inputs: usize) -> Var {
        self.parameter(format!("{module}.weight"), &[outputs, inputs], self.part)
    }

    /// Numbers that are kept as they are: nothing learns them.
    pub fn kept_number(&mut self, name: &str, shape: &[usize]) -> Var {
        self.parameter(name.to_owned(), shape, Marks { no_decay: true, ..self.part })
    }

    /// The bias `[outputs]` of a linear layer.
    pub fn bias(&mut self, module: &str, outputs: usize) -> Var {
        self.added(format!("{module}.bias"), outputs)
    }

    /// The parameters of a LayerNorm.
    pub fn norm(&mut self, module: &str, width: usize, epsilon: f32) -> Norm {
        let gamma = self.factors(format!("{module}.weight"), width);
        let beta = self.added(format!("{module}.bias"), width);
        (gamma, beta, epsilon)
    }

    /// The parameters of a LayerNorm whose β is 0 and no parameter.
    pub fn norm_without_bias(&mut self, module: &str, width: usize, epsilon: f32) -> Norm {
        let gamma = self.factors(format!("{module}.weight"), width);
        (gamma, self.zeros(width), epsilon)
    }

    /// A constant vector of zeros.
    pub(super) fn zeros(&mut self, width: usize) -> Var {
        self.g.constant(Constant::F32(vec![width], vec![0.0; width]))
    }

    /// A table of embeddings `[rows, H]`.
    pub fn table(&mut self, module: &str, rows: usize, width: usize) -> Var {
        self.weight(module, rows, width)
    }

    /// The table of the words `[V, H]`.
    pub fn word_table(&mut self, module: &str, width: usize) -> Var {
        let marks = Marks { word_table: true, ..self.part };
        let rows = self.options.word_rows;
        let table = self.parameter(format!("{module}.weight"), &[rows, width], marks);
        self.words = Some(table);
        table
    }

    /// The table of the words, once the embeddings are built.
    pub fn tied_words(&self) -> Option<Var> {
        self.words
    }
}

/// Embeddings.
impl Builder {
    /// The rows `[T, H]` of a text's words.
    pub fn words(&mut self, table: Var) -> Result<Var, ShapeError> {
        let ids = self.g.reshape(self.ids, &[-1])?;
        let ids = self.g.of_tokens(ids)?; // [T]
        self.g.gather(table, ids)
    }

    /// The rows `[T, H]` of absolute positions.
    pub fn positions(
        &mut self,
        table: Var,
        positions: Positions,
        padding_id: usize,
    ) -> Result<Var, ShapeError> {
        let numbers = match (self.options.positions_in_graph, positions) {
            (false, _) => self.g.tokens_input("position_ids"),
            (true, Positions::FromZero) => self.numbers_from_zero()?,
            (true, Positions::AfterPadding) => self.numbers_after(padding_id)?,
        };
        let numbers = self.g.reshape(numbers, &[-1])?;
        let numbers = self.g.of_tokens(numbers)?; // [T]
        self.g.gather(table, numbers)
    }

    /// The row `[1, H]` of a table that stands for all tokens: single texts have type 0 throughout.
    pub fn first_row(&mut self, table: Var) -> Result<Var, ShapeError> {
        let zero = self.g.constant(Constant::ints(&[0]));
        self.g.gather(table, zero)
    }

    /// The numbers 0 to L − 1, `[L]`.
    pub(super) fn places(&mut self) -> Result<Var, ShapeError> {
        let numbers = self.numbers_from_zero()?; // [B, L]
        let first = self.g.slice(numbers, 0, 0, 1)?;
        self.g.squeeze(first, &[0])
    }

    /// Padding is masked, so its positions need no care: every place of a row counts.
    fn numbers_from_zero(&mut self) -> Result<Var, ShapeError> {
        self.counted(1)
    }

    /// The places `[B, L]` along an axis, from 0.
    pub(super) fn counted(&mut self, axis: i64) -> Result<Var, ShapeError> {
        let one = self.g.constant(Constant::I64(Vec::new(), vec![1]));
        let (sizes, known) = (self.g.shape(self.ids)?, self.g.fact(self.ids).shape.clone());
        let ones = self.g.expand(one, sizes, known)?;
        let counted = self.g.cumulative_sum(ones, axis)?;
        self.g.sub(counted, one)
    }

    fn numbers_after(&mut self, padding_id: usize) -> Result<Var, ShapeError> {
        let padding = self.g.constant(Constant::I64(Vec::new(), vec![padding_id as i64]));
        let is_padding = self.g.equal(self.ids, padding)?;
        let is_token = self.g.not(is_padding)?;
        let tokens = self.g.cast(is_token, DType::I64)?;
        let counted = self.g.cumulative_sum(tokens, 1)?;
        let counted = self.g.mul(counted, tokens)?;
        self.g.add(counted, padding)
    }
}

/// Pooling.
impl Builder {
    /// The rows of the first tokens: `[T, H]` → `[B, H]`.
    pub fn first_tokens(&mut self, x: Var) -> Result<Var, ShapeError> {
        let texts = self.g.by_text(x, self.mask)?; // [B, L, H]
        let first = self.g.slice(texts, 1, 0, 1)?; // [B, 1, H]
        self.g.squeeze(first, &[1])
    }
}
