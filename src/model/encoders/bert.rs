//! BERT (Devlin et al. 2019): post-norm layers, absolute positions, token types, and a pooler over
//! the first token.
//!
//! Dimensions: `B` texts of a batch, `T` rows of token states, `M` masked tokens, `H` width, `K`
//! classes.

use serde_json::Value;

use super::contract::{Config, Encoder, Layer, Masked, as_read};
use super::parts::builder::{Builder, Positions};
use super::parts::fields::Fields;
use crate::engine::graph::attention::Heads;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;
use crate::model::head::Pooling;

/// BERT.
pub static BERT: Encoder = Encoder {
    model_types: &[("bert", "Bert")],
    prefix: "bert.",
    pooler: Some("pooler"),
    pretrained_head: Some("pooler"),
    positions: Positions::FromZero,
    padding_id: 0,
    config,
    embeddings,
    layer,
    last: None,
    head,
    sets_pooling: false,
    modernise: as_read,
    decodes: true,
    masked: &[Masked {
        transform: masked_transform,
        words: "cls.predictions.decoder.weight",
        biases: &["cls.predictions.bias", "cls.predictions.decoder.bias"],
    }],
};

pub(super) fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    fields.refuse_variants()?;
    let hidden_dropout = fields.share("hidden_dropout_prob", 0.1)?;
    let hidden = fields.size("hidden_size")?;
    let config = Config {
        encoder,
        vocabulary: fields.size("vocab_size")?,
        hidden,
        embedding: hidden,
        layers: fields.size("num_hidden_layers")?,
        heads: fields.size("num_attention_heads")?,
        intermediate: fields.size("intermediate_size")?,
        activation: fields.activation("hidden_act")?,
        positions: fields.size("max_position_embeddings")?,
        token_types: fields.count("type_vocab_size", 2)?,
        layer_norm_epsilon: fields.positive("layer_norm_eps", 1e-12)?,
        hidden_dropout,
        attention_dropout: fields.share("attention_probs_dropout_prob", 0.1)?,
        classifier_dropout: fields.share("classifier_dropout", hidden_dropout)?,
        padding_id: fields.count("pad_token_id", encoder.padding_id)?,
        initializer_range: fields.positive("initializer_range", 0.02)?,
        head_reads: Pooling::Cls,
        own: Value::Null,
    };
    config.checked(fields, "num_attention_heads", "hidden_size")
}

/// The sum of the rows of words, positions and token types, its norm, and dropout: `[T, E]`.
pub(super) fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let width = config.embedding;
    let words = b.word_table("embeddings.word_embeddings", width);
    let positions = b.table("embeddings.position_embeddings", config.positions, width);
    let words = b.words(words)?; // [T, E]
    let positions = b.positions(positions, config.encoder.positions, config.padding_id)?;
    let mut sum = b.g.add(words, positions)?;
    if config.token_types > 0 {
        let types = b.table("embeddings.token_type_embeddings", config.token_types, width);
        let row = b.first_row(types)?; // [1, E]
        sum = b.g.add(sum, row)?;
    }
    let norm = b.norm("embeddings.LayerNorm", width, config.layer_norm_epsilon);
    let normed = b.normed(sum, norm)?;
    b.dropout(normed, config.hidden_dropout)
}

/// The names of a post-norm layer's modules, below those of the layers.
pub(super) struct Modules {
    /// Before the number of a layer.
    pub layers: &'static str,
    /// Queries, keys and values.
    pub attention: [&'static str; 3],
    pub attention_output: &'static str,
    pub attention_norm: &'static str,
    /// The feed-forward layer, up and down.
    pub mlp: [&'static str; 2],
    pub norm: &'static str,
}

pub(super) const MODULES: Modules = Modules {
    layers: "encoder.layer",
    attention: ["attention.self.query", "attention.self.key", "attention.self.value"],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    mlp: ["intermediate.dense", "output.dense"],
    norm: "output.LayerNorm",
};

pub(super) fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    post_norm(b, config, layer, &PostNorm::of(config, &MODULES, layer.index))
}

/// A layer whose norms follow the sums.
pub(super) struct PostNorm {
    /// Before the names of the layer's modules: `encoder.layer.0`.
    pub layer: String,
    pub modules: &'static Modules,
    pub heads: Heads,
    /// The rates of dropout after attention and after the feed-forward layer.
    pub dropout: [f32; 2],
}

impl PostNorm {
    /// Returns a layer as BERT has it, with other names.
    pub(super) fn of(config: &Config, modules: &'static Modules, index: usize) -> PostNorm {
        let layer = format!("{}.{index}", modules.layers);
        let (heads, dropout) = (Heads::plain(config.heads), [config.hidden_dropout; 2]);
        PostNorm { layer, modules, heads, dropout }
    }

    /// Returns the whole name of a module.
    pub(super) fn name(&self, module: &str) -> String {
        format!("{}.{module}", self.layer)
    }
}

pub(super) fn post_norm(
    b: &mut Builder,
    config: &Config,
    layer: Layer,
    own: &PostNorm,
) -> Result<Var, ShapeError> {
    let x = layer.below; // [T, H]
    let asking = if layer.first_token_only { b.first_tokens(x)? } else { x };
    let attention = own.modules.attention.map(|module| own.name(module));
    let (heads, rate) = (b.looking_back(own.heads)?, config.attention_dropout);
    let context = b.attention(asking, x, &attention, config.hidden, heads, rate)?;
    after_attention(b, config, [context, asking], own)
}

/// What follows attention in a post-norm layer, from the context and the states below it.
pub(super) fn after_attention(
    b: &mut Builder,
    config: &Config,
    [context, below]: [Var; 2],
    own: &PostNorm,
) -> Result<Var, ShapeError> {
    let (hidden, epsilon, modules) = (config.hidden, config.layer_norm_epsilon, own.modules);
    let output = own.name(modules.attention_output);
    let attended = b.linear_apart(context, &output, hidden, hidden)?;
    let norm = b.norm(&own.name(modules.attention_norm), hidden, epsilon);
    let x = b.add_norm(attended, below, norm, own.dropout[0])?;
    let x = b.beside(x, &own.layer, hidden, (epsilon, own.dropout[0]))?;
    let [up, down] = modules.mlp.map(|module| own.name(module));
    let made = b.mlp(x, [&up, &down], [hidden, config.intermediate], config.activation)?;
    let norm = b.norm(&own.name(modules.norm), hidden, epsilon);
    b.add_norm(made, x, norm, own.dropout[1])
}

pub(super) fn head(
    b: &mut Builder,
    config: &Config,
    x: Var,
    labels: usize,
) -> Result<Var, ShapeError> {
    let x = b.linear(x, "pooler.dense", config.hidden, config.hidden)?;
    let x = b.g.tanh(x)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier", labels, config.hidden)
}

pub(super) fn masked_transform(
    b: &mut Builder,
    config: &Config,
    x: Var,
) -> Result<Var, ShapeError> {
    let modules = ["cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"];
    let widths = [config.embedding, config.hidden];
    b.transform(x, modules, widths, config.activation, config.layer_norm_epsilon)
}
