//! ModernBERT (Warner et al. 2024): pre-norm layers without biases, rotary positions, attention
//! that is local in most layers, and gated feed-forward layers (GeGLU).
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, `H` width, `I`
//! width of the feed-forward layer, `d` width of a head.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::contract::{Config, Encoder, Layer, Masked, as_read};
use super::parts::builder::{Activation, Builder, Norm, Positions};
use super::parts::fields::Fields;
use crate::engine::graph::attention::Heads;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;
use crate::model::head::Pooling;

/// ModernBERT.
pub static MODERNBERT: Encoder = Encoder {
    model_types: &[("modernbert", "ModernBert")],
    prefix: "model.",
    pooler: None,
    pretrained_head: Some("head"),
    positions: Positions::FromZero,
    padding_id: 50283,
    config,
    embeddings,
    layer,
    last: Some(last),
    head,
    sets_pooling: true,
    modernise: as_read,
    decodes: false,
    masked: &[Masked {
        transform: head_of_states,
        words: "decoder.weight",
        biases: &["decoder.bias"],
    }],
};

/// The tensors that layers have in common.
const WINDOW: &str = "local window";
const ROTATIONS: [[&str; 2]; 2] =
    [["global cosines", "global sines"], ["local cosines", "local sines"]];

#[derive(Serialize, Deserialize)]
struct Own {
    /// Whether each layer attends locally.
    local: Vec<bool>,
    /// How far a key may be away from the query in those layers.
    reach: usize,
    /// The bases of the rotations of global and local layers.
    thetas: [f32; 2],
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    classifier_bias: bool,
    classifier_activation: Activation,
    embedding_dropout: f32,
    mlp_dropout: f32,
}

fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    // It has no absolute positions, whatever `position_embedding_type` says.
    fields.refuse_decoders()?;
    let hidden = fields.size("hidden_size")?;
    let layers = fields.size("num_hidden_layers")?;
    let attention_dropout = fields.share("attention_dropout", 0.0)?;
    let head_reads = match fields.text("classifier_pooling")?.as_deref() {
        None | Some("cls") => Pooling::Cls,
        Some("mean") => Pooling::Mean,
        Some(_) => return Err(fields.wrong("classifier_pooling", "`cls` or `mean`")),
    };
    let own = Own {
        local: local_layers(fields, layers)?,
        reach: fields.count("local_attention", 128)? / 2,
        thetas: [
            theta(fields, "full_attention", "global_rope_theta", 160_000.0)?,
            theta(fields, "sliding_attention", "local_rope_theta", 10_000.0)?,
        ],
        norm_bias: fields.flag("norm_bias", false)?,
        attention_bias: fields.flag("attention_bias", false)?,
        mlp_bias: fields.flag("mlp_bias", false)?,
        classifier_bias: fields.flag("classifier_bias", false)?,
        classifier_activation: fields.activation("classifier_activation")?,
        embedding_dropout: fields.share("embedding_dropout", 0.0)?,
        mlp_dropout: fields.share("mlp_dropout", 0.0)?,
    };
    let config = Config {
        encoder,
        vocabulary: fields.size("vocab_size")?,
        hidden,
        embedding: hidden,
        layers,
        heads: fields.size("num_attention_heads")?,
        intermediate: fields.size("intermediate_size")?,
        activation: fields.activation("hidden_activation")?,
        positions: fields.count("max_position_embeddings", 8192)?,
        token_types: 0,
        layer_norm_epsilon: fields.positive("norm_eps", 1e-5)?,
        // After attention.
        hidden_dropout: attention_dropout,
        attention_dropout,
        classifier_dropout: fields.share("classifier_dropout", 0.0)?,
        padding_id: fields.count("pad_token_id", encoder.padding_id)?,
        initializer_range: fields.positive("initializer_range", 0.02)?,
        head_reads,
        own: Value::Null,
    };
    let config = config.checked(fields, "num_attention_heads", "hidden_size")?;
    if !(config.hidden / config.heads).is_multiple_of(2) {
        return Err(fields.wrong("num_attention_heads", "heads of an even width"));
    }
    Ok(config.with_own(own))
}

/// Returns which layers attend locally: newer files list the kinds, older ones say how often a
/// layer is global.
fn local_layers(fields: &Fields<'_>, layers: usize) -> Result<Vec<bool>, ModelError> {
    const KINDS: &str = "`full_attention` or `sliding_attention` for each layer";
    if let Some(kinds) = fields.get("layer_types").and_then(Value::as_array) {
        let kinds: Option<Vec<bool>> = kinds
            .iter()
            .map(|kind| match kind.as_str() {
                Some("full_attention") => Some(false),
                Some("sliding_attention") => Some(true),
                _ => None,
            })
            .collect();
        let kinds = kinds.filter(|kinds| kinds.len() == layers);
        return kinds.ok_or_else(|| fields.wrong("layer_types", KINDS));
    }
    let every = fields.count("global_attn_every_n_layers", 3)?;
    if every == 0 {
        return Err(fields.wrong("global_attn_every_n_layers", "a whole number from 1"));
    }
    Ok((0..layers).map(|index| !index.is_multiple_of(every)).collect())
}

/// Returns the base of a kind of layer's rotations, which newer files have in `rope_parameters`.
fn theta(fields: &Fields<'_>, kind: &str, old: &str, usual: f32) -> Result<f32, ModelError> {
    let own = fields.get("rope_parameters").and_then(|all| all.get(kind));
    match fields.theta(own)? {
        Some(theta) => Ok(theta),
        None => fields.positive(old, usual),
    }
}

fn norm(b: &mut Builder, config: &Config, module: &str, has_bias: bool) -> Norm {
    match has_bias {
        true => b.norm(module, config.hidden, config.layer_norm_epsilon),
        false => b.norm_without_bias(module, config.hidden, config.layer_norm_epsilon),
    }
}

fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let own: Own = config.own()?;
    for (names, theta) in ROTATIONS.into_iter().zip(own.thetas) {
        let made = b.rotations(config.hidden / config.heads, theta, 1.0)?;
        for (name, var) in names.into_iter().zip(made) {
            b.keep(name, var);
        }
    }
    let window = b.window(own.reach)?; // [1, 1, L, L]
    b.keep(WINDOW, window);
    let words = b.word_table("embeddings.tok_embeddings", config.hidden);
    let words = b.words(words)?; // [T, H]
    let norm = norm(b, config, "embeddings.norm", own.norm_bias);
    let normed = b.normed(words, norm)?;
    b.dropout(normed, own.embedding_dropout)
}

fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let own: Own = config.own()?;
    let name = |module: &str| format!("layers.{}.{module}", layer.index);
    let (hidden, wide, x) = (config.hidden, config.intermediate, layer.below); // [T, H]
    let normed = match layer.index {
        // The embeddings have just been normed.
        0 => x,
        _ => {
            let norm = norm(b, config, &name("attn_norm"), own.norm_bias);
            b.normed(x, norm)?
        }
    };
    let context = attention(b, config, &own, &name("attn"), normed, own.local[layer.index])?;
    // What follows attention is asked of the first tokens alone.
    let (context, x) = match layer.first_token_only {
        true => (b.first_tokens(context)?, b.first_tokens(x)?),
        false => (context, x),
    };
    let attended = b.linear_if(context, &name("attn.Wo"), [hidden; 2], own.attention_bias)?;
    let x = b.add((attended, None), x, config.hidden_dropout)?;
    let norm = norm(b, config, &name("mlp_norm"), own.norm_bias);
    let normed = b.normed(x, norm)?;
    let both = b.linear_if(normed, &name("mlp.Wi"), [2 * wide, hidden], own.mlp_bias)?; // [T, 2I]
    let (active, gate) = (b.g.slice(both, 1, 0, wide)?, b.g.slice(both, 1, wide, 2 * wide)?);
    let active = b.activate((active, None), config.activation)?;
    let gated = b.g.mul(active, gate)?; // [T, I]
    let gated = b.dropout(gated, own.mlp_dropout)?;
    let made = b.down_if(gated, &name("mlp.Wo"), [hidden, wide], own.mlp_bias)?;
    b.g.add(x, made)
}

/// Attention of normed states `[T, H]`, up to its context `[T, H]`.
fn attention(
    b: &mut Builder,
    config: &Config,
    own: &Own,
    module: &str,
    x: Var,
    is_local: bool,
) -> Result<Var, ShapeError> {
    let (hidden, heads) = (config.hidden, config.heads);
    let [q, k, v] = b.packed(x, &format!("{module}.Wqkv"), hidden, own.attention_bias)?;
    let [cos, sin] = ROTATIONS[usize::from(is_local)];
    let rotations = [b.kept(cos)?, b.kept(sin)?];
    let q = b.rotated(q, heads, hidden / heads, rotations)?;
    let k = b.rotated(k, heads, hidden / heads, rotations)?;
    let bias = if is_local { Some(b.kept(WINDOW)?) } else { None };
    let heads = Heads { bias, ..Heads::plain(heads) };
    b.attend([q, k, v].map(|rows| (rows, None)), heads, config.attention_dropout)
}

fn last(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let own: Own = config.own()?;
    let norm = norm(b, config, "final_norm", own.norm_bias);
    b.normed(x, norm)
}

/// What the heads of texts and of masked words begin with: rows `[.., H]` → rows `[.., H]`.
fn head_of_states(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let own: Own = config.own()?;
    let hidden = [config.hidden; 2];
    let x = b.linear_if(x, "head.dense", hidden, own.classifier_bias)?;
    let x = b.activate((x, None), own.classifier_activation)?;
    let norm = norm(b, config, "head.norm", own.norm_bias);
    b.normed(x, norm)
}

fn head(b: &mut Builder, config: &Config, x: Var, labels: usize) -> Result<Var, ShapeError> {
    let x = head_of_states(b, config, x)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier", labels, config.hidden)
}
