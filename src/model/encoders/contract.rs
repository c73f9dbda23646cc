//! What an encoder is: a name in config.json, a configuration, and layers on the blocks of
//! [`Builder`].
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, `M` masked tokens,
//! `H` width, `E` width of the word table, `K` classes.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::parts::builder::{Activation, Builder, Positions};
use super::parts::fields::Fields;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;
use crate::model::head::Pooling;

/// States `[T, H]` → states `[T, H]`.
pub(in crate::model) type Last = fn(&mut Builder, &Config, Var) -> Result<Var, ShapeError>;

/// An architecture. Each is a value in a file of its own, and a line in
/// [`ENCODERS`](super::ENCODERS).
///
/// Names of parameters are those of `transformers` without the prefix. What is known of a parameter
/// beside its name is a mark in the graph, which the [`Builder`] sets.
pub struct Encoder {
    /// The values of `model_type` in config.json, each with what the names of its classes in
    /// `transformers` begin with.
    pub model_types: &'static [(&'static str, &'static str)],
    /// What stands before the encoder's names in the files of its classifiers: `bert.`.
    pub prefix: &'static str,
    /// The module of the head that those files count to the encoder, so that it has the prefix:
    /// BERT's `pooler`.
    pub pooler: Option<&'static str>,
    /// The module of the head that pretraining has trained, so that it stays under another
    /// classifier: `pooler`, or ModernBERT's `head`.
    pub pretrained_head: Option<&'static str>,
    /// How tokens are numbered.
    pub positions: Positions,
    /// The padding token's id where config.json names none.
    pub padding_id: usize,
    /// Reads config.json.
    pub(in crate::model) config: fn(&'static Encoder, &Fields<'_>) -> Result<Config, ModelError>,
    /// The states `[T, H]` below the layers.
    pub(in crate::model) embeddings: fn(&mut Builder, &Config) -> Result<Var, ShapeError>,
    /// Layer `index`: `[T, H]` → `[T, H]`, or `[B, H]` where only first tokens are asked for.
    pub(in crate::model) layer: fn(&mut Builder, &Config, Layer) -> Result<Var, ShapeError>,
    /// What follows the last layer, such as a norm; `None` where nothing does.
    pub(in crate::model) last: Option<Last>,
    /// The architecture's own classification head: first tokens or means `[B, H]` → logits `[B,
    /// K]`, for so many classes.
    pub(in crate::model) head: fn(&mut Builder, &Config, Var, usize) -> Result<Var, ShapeError>,
    /// Whether `classifier_pooling` in config.json says what that head reads.
    pub sets_pooling: bool,
    /// Puts the fields of a config.json that `transformers` does not read so into its own form.
    pub(in crate::model) modernise: fn(&Config, &mut Map<String, Value>),
    /// Whether its layers can be those of a decoder too: they heed
    /// [`Builder::looking_back`] and [`Builder::beside`].
    pub decodes: bool,
    /// The forms of its masked-language-model head; a folder has the first whose layers it has.
    pub(in crate::model) masked: &'static [Masked],
}

impl Encoder {
    /// Says whether a parameter is of the pooler, which is the encoder's own part of the head.
    pub fn is_pooler(&self, name: &str) -> bool {
        is_within(self.pooler, name)
    }

    /// Says whether a parameter is of the part of the head that pretraining has trained.
    pub fn is_pretrained_head(&self, name: &str) -> bool {
        is_within(self.pretrained_head, name)
    }
}

fn is_within(module: Option<&str>, name: &str) -> bool {
    let rest = module.and_then(|module| name.strip_prefix(module));
    rest.is_some_and(|rest| rest.starts_with('.'))
}

/// Leaves a config.json as it was read.
pub(super) fn as_read(_: &Config, _: &mut Map<String, Value>) {}

/// Which layer is built over which states.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// The layer's number, counted from the bottom.
    pub index: usize,
    /// The states below it `[T, H]`.
    pub below: Var,
    /// Whether only the first tokens' states are asked for, so that the result is `[B, H]`.
    pub first_token_only: bool,
}

/// A masked-language-model head: a transform, then the product with a matrix of words.
#[derive(Debug)]
pub struct Masked {
    /// The layers before the words: `[M, H]` → `[M, E]`.
    pub(in crate::model) transform: fn(&mut Builder, &Config, Var) -> Result<Var, ShapeError>,
    /// The matrix of words of a folder that has another than the encoder's own word table.
    pub(in crate::model) words: &'static str,
    /// The names that the bias of the words may have; the first that a folder has counts.
    pub(in crate::model) biases: &'static [&'static str],
}

/// What the layers need of config.json.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub encoder: &'static Encoder,
    pub vocabulary: usize,
    /// H, the width of the hidden states.
    pub hidden: usize,
    /// E, the width of the word table, which is H in most.
    pub embedding: usize,
    pub layers: usize,
    pub heads: usize,
    /// The width of the feed-forward layer.
    pub intermediate: usize,
    pub activation: Activation,
    /// The most tokens of a text, and the rows of the position table where there is one.
    pub positions: usize,
    /// The rows of the token type table; 0 where the architecture has none.
    pub token_types: usize,
    pub layer_norm_epsilon: f32,
    pub hidden_dropout: f32,
    pub attention_dropout: f32,
    /// Over the head's input: `classifier_dropout`, or what the architecture falls back to
    /// (DistilBERT's `seq_classif_dropout`).
    pub classifier_dropout: f32,
    /// The padding token's id; RoBERTa counts positions from the one after it.
    pub padding_id: usize,
    /// The standard deviation of new weights.
    pub initializer_range: f32,
    /// What the architecture's own head reads.
    pub head_reads: Pooling,
    /// The settings that only this architecture has; see [`Config::own`].
    pub own: Value,
}

impl Encoder {
    /// Returns what the names of a `model_type`'s classes in `transformers` begin with: `Bert`.
    pub fn family(&self, model_type: &str) -> &'static str {
        let known = self.model_types.iter().find(|(name, _)| *name == model_type);
        known.or(self.model_types.first()).map_or("", |(_, family)| family)
    }
}

impl PartialEq for Encoder {
    fn eq(&self, other: &Encoder) -> bool {
        self.model_types == other.model_types
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.family(""))
    }
}

impl Config {
    /// Returns the settings that only this architecture has.
    pub(super) fn own<T: DeserializeOwned>(&self) -> Result<T, ShapeError> {
        T::deserialize(&self.own).map_err(|error| ShapeError(error.to_string()))
    }

    /// Takes settings that only this architecture has.
    pub(super) fn with_own(self, own: impl Serialize) -> Config {
        // Numbers, switches and names always have a form in JSON.
        Config { own: serde_json::to_value(own).unwrap_or_default(), ..self }
    }

    /// Returns the position number of the first token.
    pub fn first_position(&self) -> usize {
        self.encoder.positions.first(self.padding_id)
    }

    /// Checks the fields against one another; `heads` and `hidden` are the names of two.
    pub(super) fn checked(
        self,
        fields: &Fields<'_>,
        heads: &str,
        hidden: &str,
    ) -> Result<Config, ModelError> {
        if !self.hidden.is_multiple_of(self.heads) {
            return Err(fields.wrong(heads, &format!("a divisor of `{hidden}` ({})", self.hidden)));
        }
        if self.padding_id >= self.vocabulary {
            return Err(fields
                .wrong("pad_token_id", &format!("less than `vocab_size` ({})", self.vocabulary)));
        }
        if self.positions <= self.first_position() {
            let expected = format!("more than `pad_token_id` + 1 ({})", self.first_position());
            return Err(fields.wrong("max_position_embeddings", &expected));
        }
        Ok(self)
    }
}
