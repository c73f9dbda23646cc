//! ELECTRA (Clark et al. 2020): BERT's layers over a word table that may be narrower, without a
//! pooler. Its discriminator is the encoder that people load; the masked-language-model head is the
//! generator's.
//!
//! Dimensions: `B` texts of a batch, `T` = B·L rows, `H` width, `E` width of the word table.

use super::bert;
use super::contract::{Config, Encoder, Masked, as_read};
use super::parts::builder::{Activation, Builder, Positions};
use super::parts::fields::Fields;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;

/// ELECTRA.
pub static ELECTRA: Encoder = Encoder {
    model_types: &[("electra", "Electra")],
    prefix: "electra.",
    pooler: None,
    pretrained_head: None,
    positions: Positions::FromZero,
    padding_id: 0,
    config,
    embeddings,
    layer: bert::layer,
    last: None,
    head,
    sets_pooling: false,
    modernise: as_read,
    decodes: true,
    masked: &[Masked {
        transform: masked_transform,
        words: "generator_lm_head.weight",
        biases: &["generator_lm_head.bias"],
    }],
};

fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    let embedding = fields.count("embedding_size", 128)?;
    if embedding == 0 {
        return Err(fields.wrong("embedding_size", "a whole number from 1"));
    }
    Ok(Config { embedding, ..bert::config(encoder, fields)? })
}

fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let x = bert::embeddings(b, config)?; // [T, E]
    if config.embedding == config.hidden {
        return Ok(x);
    }
    b.linear(x, "embeddings_project", config.hidden, config.embedding)
}

fn head(b: &mut Builder, config: &Config, x: Var, labels: usize) -> Result<Var, ShapeError> {
    let x = b.dropout(x, config.classifier_dropout)?;
    let x = b.linear_apart(x, "classifier.dense", config.hidden, config.hidden)?;
    // The exact GELU whatever the layers have.
    let x = b.activate(x, Activation::Gelu)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier.out_proj", labels, config.hidden)
}

fn masked_transform(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["generator_predictions.dense", "generator_predictions.LayerNorm"];
    let widths = [config.embedding, config.hidden];
    b.transform(x, modules, widths, Activation::Gelu, config.layer_norm_epsilon)
}
