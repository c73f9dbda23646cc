//! BERT (Devlin et al. 2019): post-norm layers, absolute positions, token types, and a pooler over
//! the first token.
//!
//! Dimensions: `B` texts of a batch, `T` rows of token states, `M` masked tokens, `H` width, `K`
//! classes.

use super::builder::{Builder, Positions};
use super::contract::{Config, Encoder, Layer, Masked};
use super::fields::Fields;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;

/// BERT.
pub static BERT: Encoder = Encoder {
    model_types: &[("bert", "Bert")],
    prefix: "bert.",
    pooler: Some("pooler"),
    positions: Positions::FromZero,
    padding_id: 0,
    config,
    embeddings,
    layer,
    last: None,
    head,
    masked: Masked {
        transform: masked_transform,
        words: "cls.predictions.decoder.weight",
        biases: &["cls.predictions.bias", "cls.predictions.decoder.bias"],
    },
};

pub(super) fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    fields.refuse_variants()?;
    let hidden_dropout = fields.share("hidden_dropout_prob", 0.1)?;
    let config = Config {
        encoder,
        vocabulary: fields.size("vocab_size")?,
        hidden: fields.size("hidden_size")?,
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
    };
    config.checked(fields, "num_attention_heads", "hidden_size")
}

pub(super) fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let hidden = config.hidden;
    let words = b.word_table("embeddings.word_embeddings", hidden);
    let positions = b.table("embeddings.position_embeddings", config.positions, hidden);
    let words = b.words(words)?; // [T, H]
    let positions = b.positions(positions, config.encoder.positions, config.padding_id)?;
    let mut sum = b.g.add(words, positions)?;
    if config.token_types > 0 {
        let types = b.table("embeddings.token_type_embeddings", config.token_types, hidden);
        let row = b.first_row(types)?; // [1, H]
        sum = b.g.add(sum, row)?;
    }
    let norm = b.norm("embeddings.LayerNorm", hidden, config.layer_norm_epsilon);
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

const MODULES: Modules = Modules {
    layers: "encoder.layer",
    attention: ["attention.self.query", "attention.self.key", "attention.self.value"],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    mlp: ["intermediate.dense", "output.dense"],
    norm: "output.LayerNorm",
};

pub(super) fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    post_norm(b, config, layer, &MODULES, config.hidden_dropout)
}

/// A layer whose norms follow the sums. `attended_dropout` is the rate after attention.
pub(super) fn post_norm(
    b: &mut Builder,
    config: &Config,
    layer: Layer,
    modules: &Modules,
    attended_dropout: f32,
) -> Result<Var, ShapeError> {
    let name = |module: &str| format!("{}.{}.{module}", modules.layers, layer.index);
    let (hidden, epsilon) = (config.hidden, config.layer_norm_epsilon);
    let x = layer.below; // [T, H]
    let asking = if layer.first_token_only { b.first_tokens(x)? } else { x };
    let (attention, rate) = (modules.attention.map(name), config.attention_dropout);
    let context = b.attention(asking, x, &attention, hidden, config.heads, rate)?;
    let attended = b.linear_apart(context, &name(modules.attention_output), hidden, hidden)?;
    let norm = b.norm(&name(modules.attention_norm), hidden, epsilon);
    let x = b.add_norm(attended, asking, norm, attended_dropout)?;
    let [up, down] = modules.mlp.map(name);
    let made = b.mlp(x, [&up, &down], [hidden, config.intermediate], config.activation)?;
    let norm = b.norm(&name(modules.norm), hidden, epsilon);
    b.add_norm(made, x, norm, config.hidden_dropout)
}

fn head(b: &mut Builder, config: &Config, x: Var, labels: usize) -> Result<Var, ShapeError> {
    let x = b.linear(x, "pooler.dense", config.hidden, config.hidden)?;
    let x = b.g.tanh(x)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier", labels, config.hidden)
}

fn masked_transform(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"];
    b.transform(x, modules, config.hidden, config.activation, config.layer_norm_epsilon)
}
