//! ALBERT (Lan et al. 2020): BERT's layers, which share their weights, over a word table that is
//! narrower.
//!
//! Dimensions: `B` texts of a batch, `T` = B·L rows, `H` width, `E` width of the word table.

use serde::{Deserialize, Serialize};

use super::bert::{self, Modules, PostNorm};
use super::contract::{Config, Encoder, Layer, Masked, as_read};
use super::parts::builder::{Activation, Builder, Positions};
use super::parts::fields::Fields;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;

/// ALBERT.
pub static ALBERT: Encoder = Encoder {
    model_types: &[("albert", "Albert")],
    prefix: "albert.",
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
        words: "predictions.decoder.weight",
        biases: &["predictions.bias", "predictions.decoder.bias"],
    }],
};

#[derive(Serialize, Deserialize)]
struct Own {
    /// The sets of weights.
    groups: usize,
    /// The layers of a group, one after another.
    inner: usize,
}

fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    let activation = match fields.text("hidden_act")? {
        None => Activation::GeluTanh,
        Some(_) => fields.activation("hidden_act")?,
    };
    let config = bert::config(encoder, fields)?;
    let (groups, inner) =
        (fields.count("num_hidden_groups", 1)?, fields.count("inner_group_num", 1)?);
    if groups == 0 || groups > config.layers {
        let expected = format!("a whole number from 1 to `num_hidden_layers` ({})", config.layers);
        return Err(fields.wrong("num_hidden_groups", &expected));
    }
    if inner == 0 {
        return Err(fields.wrong("inner_group_num", "a whole number from 1"));
    }
    let embedding = fields.count("embedding_size", 128)?.max(1);
    let config = Config {
        embedding,
        activation,
        layers: config.layers * inner,
        hidden_dropout: fields.share("hidden_dropout_prob", 0.0)?,
        attention_dropout: fields.share("attention_probs_dropout_prob", 0.0)?,
        classifier_dropout: fields.share("classifier_dropout_prob", 0.1)?,
        ..config
    };
    Ok(config.with_own(Own { groups, inner }))
}

fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let x = bert::embeddings(b, config)?; // [T, E]
    b.linear(x, "encoder.embedding_hidden_mapping_in", config.hidden, config.embedding)
}

const MODULES: Modules = Modules {
    layers: "encoder.albert_layer_groups",
    attention: ["attention.query", "attention.key", "attention.value"],
    attention_output: "attention.dense",
    attention_norm: "attention.LayerNorm",
    mlp: ["ffn", "ffn_output"],
    norm: "full_layer_layer_norm",
};

fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let Own { groups, inner } = config.own()?;
    let (turn, place) = (layer.index / inner, layer.index % inner);
    // Groups need not divide the layers.
    let group = turn * groups / (config.layers / inner);
    let own = PostNorm::of(config, &MODULES, group);
    let own = PostNorm {
        layer: own.name(&format!("albert_layers.{place}")),
        // None after the feed-forward layer.
        dropout: [config.hidden_dropout, 0.0],
        ..own
    };
    bert::post_norm(b, config, layer, &own)
}

fn head(b: &mut Builder, config: &Config, x: Var, labels: usize) -> Result<Var, ShapeError> {
    let x = b.linear(x, "pooler", config.hidden, config.hidden)?;
    let x = b.g.tanh(x)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier", labels, config.hidden)
}

fn masked_transform(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["predictions.dense", "predictions.LayerNorm"];
    let widths = [config.embedding, config.hidden];
    b.transform(x, modules, widths, config.activation, config.layer_norm_epsilon)
}
