//! RoBERTa (Liu et al. 2019), and those that differ from it in their vocabulary alone: XLM-RoBERTa
//! and CamemBERT. BERT's layers, positions that begin after the padding, and a head of its own.

use super::bert;
use super::contract::{Config, Encoder, Masked, as_read};
use super::parts::builder::{Activation, Builder, Positions};
use crate::engine::{ShapeError, Var};

/// RoBERTa.
pub static ROBERTA: Encoder = Encoder {
    model_types: &[
        ("roberta", "Roberta"),
        ("xlm-roberta", "XLMRoberta"),
        ("camembert", "Camembert"),
    ],
    prefix: "roberta.",
    pooler: None,
    pretrained_head: None,
    positions: Positions::AfterPadding,
    padding_id: 1,
    config: bert::config,
    embeddings: bert::embeddings,
    layer: bert::layer,
    last: None,
    head,
    sets_pooling: false,
    modernise: as_read,
    decodes: true,
    masked: &[MASKED],
};

/// A masked-language-model head with RoBERTa's names.
pub(super) const MASKED: Masked = Masked {
    transform: masked_transform,
    words: "lm_head.decoder.weight",
    biases: &["lm_head.bias", "lm_head.decoder.bias"],
};

pub(super) fn head(
    b: &mut Builder,
    config: &Config,
    x: Var,
    labels: usize,
) -> Result<Var, ShapeError> {
    let x = b.dropout(x, config.classifier_dropout)?;
    let x = b.linear(x, "classifier.dense", config.hidden, config.hidden)?;
    let x = b.g.tanh(x)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier.out_proj", labels, config.hidden)
}

fn masked_transform(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["lm_head.dense", "lm_head.layer_norm"];
    // The exact GELU whatever the layers have.
    b.transform(x, modules, [config.hidden; 2], Activation::Gelu, config.layer_norm_epsilon)
}
