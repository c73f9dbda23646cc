//! DistilBERT (Sanh et al. 2019): BERT's layers under names of its own, without token types and
//! without a pooler.

use serde_json::Value;

use super::bert::{self, Modules, PostNorm};
use super::contract::{Config, Encoder, Layer, Masked, as_read};
use super::parts::builder::{Builder, Positions};
use super::parts::fields::Fields;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;
use crate::model::head::Pooling;

/// DistilBERT.
pub static DISTILBERT: Encoder = Encoder {
    model_types: &[("distilbert", "DistilBert")],
    prefix: "distilbert.",
    pooler: None,
    pretrained_head: None,
    positions: Positions::FromZero,
    padding_id: 0,
    config,
    embeddings: bert::embeddings,
    layer,
    last: None,
    head,
    sets_pooling: false,
    modernise: as_read,
    decodes: true,
    masked: &[Masked {
        transform: masked_transform,
        words: "vocab_projector.weight",
        biases: &["vocab_projector.bias"],
    }],
};

fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    fields.refuse_variants()?;
    let hidden = fields.size("dim")?;
    let config = Config {
        encoder,
        vocabulary: fields.size("vocab_size")?,
        hidden,
        embedding: hidden,
        layers: fields.size("n_layers")?,
        heads: fields.size("n_heads")?,
        intermediate: fields.size("hidden_dim")?,
        activation: fields.activation("activation")?,
        positions: fields.size("max_position_embeddings")?,
        token_types: 0,
        // Written into the model's code, not into its configuration.
        layer_norm_epsilon: 1e-12,
        hidden_dropout: fields.share("dropout", 0.1)?,
        attention_dropout: fields.share("attention_dropout", 0.1)?,
        classifier_dropout: fields.share("seq_classif_dropout", 0.2)?,
        padding_id: fields.count("pad_token_id", encoder.padding_id)?,
        initializer_range: fields.positive("initializer_range", 0.02)?,
        head_reads: Pooling::Cls,
        own: Value::Null,
    };
    config.checked(fields, "n_heads", "dim")
}

const MODULES: Modules = Modules {
    layers: "transformer.layer",
    attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    mlp: ["ffn.lin1", "ffn.lin2"],
    norm: "output_layer_norm",
};

fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    // No dropout after attention, other than BERT.
    let dropout = [0.0, config.hidden_dropout];
    let own = PostNorm { dropout, ..PostNorm::of(config, &MODULES, layer.index) };
    bert::post_norm(b, config, layer, &own)
}

fn head(b: &mut Builder, config: &Config, x: Var, labels: usize) -> Result<Var, ShapeError> {
    let x = b.linear(x, "pre_classifier", config.hidden, config.hidden)?;
    let x = b.g.relu(x)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier", labels, config.hidden)
}

fn masked_transform(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["vocab_transform", "vocab_layer_norm"];
    b.transform(x, modules, [config.hidden; 2], config.activation, config.layer_norm_epsilon)
}
