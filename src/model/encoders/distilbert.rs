//! DistilBERT (Sanh et al. 2019): BERT's layers under names of its own, without token types and
//! without a pooler.

use super::builder::{Builder, Positions};
use super::contract::{Config, Encoder, Layer, Masked};
use super::fields::Fields;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;

/// DistilBERT.
pub static DISTILBERT: Encoder = Encoder {
    model_types: &[("distilbert", "DistilBert")],
    prefix: "distilbert.",
    pooler: None,
    positions: Positions::FromZero,
    padding_id: 0,
    config,
    embeddings,
    layer,
    last: None,
    head,
    masked: Masked {
        transform: masked_transform,
        words: "vocab_projector.weight",
        biases: &["vocab_projector.bias"],
    },
};

fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    fields.refuse_variants()?;
    let config = Config {
        encoder,
        vocabulary: fields.size("vocab_size")?,
        hidden: fields.size("dim")?,
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
    };
    config.checked(fields, "n_heads", "dim")
}

fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let hidden = config.hidden;
    let words = b.word_table("embeddings.word_embeddings", hidden);
    let positions = b.table("embeddings.position_embeddings", config.positions, hidden);
    let words = b.words(words)?; // [T, H]
    let positions = b.positions(positions, config.encoder.positions, config.padding_id)?;
    let sum = b.g.add(words, positions)?;
    let norm = b.norm("embeddings.LayerNorm", hidden, config.layer_norm_epsilon);
    let normed = b.normed(sum, norm)?;
    b.dropout(normed, config.hidden_dropout)
}

fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let name = |module: &str| format!("transformer.layer.{}.{module}", layer.index);
    let (hidden, epsilon) = (config.hidden, config.layer_norm_epsilon);
    let x = layer.below; // [T, H]
    let asking = if layer.first_token_only { b.first_tokens(x)? } else { x };
    let modules = ["q_lin", "k_lin", "v_lin"].map(|part| name(&format!("attention.{part}")));
    let context =
        b.attention(asking, x, &modules, hidden, config.heads, config.attention_dropout)?;
    let attended = b.linear_apart(context, &name("attention.out_lin"), hidden, hidden)?;
    let norm = b.norm(&name("sa_layer_norm"), hidden, epsilon);
    // No dropout here, other than BERT.
    let x = b.add_norm(attended, asking, norm, 0.0)?;
    let modules = [&*name("ffn.lin1"), &name("ffn.lin2")];
    let made = b.mlp(x, modules, [hidden, config.intermediate], config.activation)?;
    let norm = b.norm(&name("output_layer_norm"), hidden, epsilon);
    b.add_norm(made, x, norm, config.hidden_dropout)
}

fn head(b: &mut Builder, config: &Config, x: Var, labels: usize) -> Result<Var, ShapeError> {
    let x = b.linear(x, "pre_classifier", config.hidden, config.hidden)?;
    let x = b.g.relu(x)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier", labels, config.hidden)
}

fn masked_transform(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["vocab_transform", "vocab_layer_norm"];
    b.transform(x, modules, config.hidden, config.activation, config.layer_norm_epsilon)
}
