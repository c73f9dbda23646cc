//! Encoders with BERT's post-norm layers, rotary positions and gated feed-forward layers: NomicBERT
//! (Nussbaum et al. 2024) and GTE (Zhang et al. 2024).
//!
//! Dimensions: `T` rows of token states, `H` width, `I` width of the feed-forward layer, `d` width
//! of a head.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::bert;
use super::contract::{Config, Encoder, Layer, Masked};
use super::parts::builder::{Activation, Builder, Positions};
use super::parts::fields::Fields;
use crate::engine::graph::attention::Heads;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;
use crate::model::head::Pooling;

/// NomicBERT.
pub static NOMIC_BERT: Encoder = Encoder {
    model_types: &[("nomic_bert", "NomicBert")],
    prefix: "nomic_bert.",
    pooler: Some("pooler"),
    pretrained_head: Some("pooler"),
    positions: Positions::FromZero,
    padding_id: 0,
    config: nomic_config,
    embeddings: |b, config| embeddings(b, config, "emb_ln"),
    layer: nomic_layer,
    last: None,
    head: bert::head,
    sets_pooling: false,
    modernise: nomic_saved,
    decodes: false,
    masked: &[Masked {
        transform: nomic_masked,
        words: "cls.predictions.decoder.weight",
        biases: &["cls.predictions.bias", "cls.predictions.decoder.bias"],
    }],
};

/// GTE, which its authors' own code calls `new`.
pub static GTE: Encoder = Encoder {
    model_types: &[("gte", "Gte"), ("new", "Gte")],
    prefix: "gte.",
    pooler: Some("pooler"),
    pretrained_head: Some("pooler"),
    positions: Positions::FromZero,
    padding_id: 1,
    config: gte_config,
    embeddings: |b, config| embeddings(b, config, "embeddings.LayerNorm"),
    layer: gte_layer,
    last: None,
    head: bert::head,
    sets_pooling: false,
    modernise: gte_saved,
    decodes: false,
    masked: &[Masked {
        transform: gte_masked,
        words: "lm_head.decoder.weight",
        biases: &["lm_head.decoder.bias", "lm_head.bias"],
    }],
};

const ROTATIONS: [&str; 2] = ["cosines", "sines"];

#[derive(Serialize, Deserialize)]
struct Own {
    theta: f32,
    /// What frequencies are divided by.
    factor: f32,
}

/// Returns the name of a field: its own, or an older one where that alone is there.
fn either<'n>(fields: &Fields<'_>, own: &'n str, old: &'n str) -> Result<&'n str, ModelError> {
    let same = |one: &Value, other: &Value| match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    };
    match (fields.get(own), fields.get(old)) {
        (Some(one), Some(other)) if !same(one, other) => {
            Err(fields.wrong(own, &format!("the same as `{old}` ({other})")))
        }
        (None, Some(_)) => Ok(old),
        _ => Ok(own),
    }
}

/// Refuses fields that have another value than the one that is computed.
fn expect(fields: &Fields<'_>, expected: &[(&str, Value)]) -> Result<(), ModelError> {
    let differs = |(name, value): &&(&str, Value)| match (fields.get(name), value) {
        (None, _) => false,
        (Some(found), Value::Number(number)) => found.as_f64() != number.as_f64(),
        (Some(found), value) => found != value,
    };
    match expected.iter().find(differs) {
        Some((name, value)) => Err(fields.wrong(name, &format!("`{value}`"))),
        None => Ok(()),
    }
}

fn nomic_config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    let no = |name| (name, Value::Bool(false));
    let variants =
        ["prenorm", "rotary_emb_interleaved", "causal", "use_rms_norm", "parallel_block"];
    let biases = ["qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"];
    let variants: Vec<_> = variants.into_iter().chain(biases).map(no).collect();
    expect(fields, &variants)?;
    expect(fields, &[("num_experts", json!(0)), ("moe_every_n_layers", json!(0))])?;
    let has_old_names = fields.get("n_embd").is_some() && fields.get("rope_parameters").is_none();
    if has_old_names && fields.share_or_one("rotary_emb_fraction", 0.0)? != 1.0 {
        return Err(fields.wrong("rotary_emb_fraction", "1"));
    }
    if fields.get("rotary_emb_scale_base").is_some() {
        return Err(fields.wrong("rotary_emb_scale_base", "`null`"));
    }
    let rope = fields.get("rope_parameters");
    let is_dynamic =
        rope.and_then(|rope| rope.get("rope_type")).and_then(Value::as_str) == Some("dynamic");
    let theta = match rope.and_then(|rope| rope.get("rope_theta")) {
        Some(_) if is_dynamic => {
            let plain = json!({"rope_theta": rope.and_then(|rope| rope.get("rope_theta"))});
            fields.theta(Some(&plain))?
        }
        _ => fields.theta(rope)?,
    };
    let theta = match theta {
        Some(theta) => theta,
        None => fields.positive(either(fields, "rope_theta", "rotary_emb_base")?, 1000.0)?,
    };
    let hidden = fields.size(either(fields, "hidden_size", "n_embd")?)?;
    let trained = fields.count("max_trained_positions", 2048)?;
    let length = match fields.get("max_position_embeddings") {
        Some(_) => "max_position_embeddings",
        None => "n_positions",
    };
    // Beyond the trained length, a scaled rotation depends on the longest text of a batch.
    let is_scaled = is_dynamic || fields.get("rotary_scaling_factor").is_some();
    let longest = fields.count(length, 2048)?;
    let positions = if is_scaled { longest.min(trained) } else { longest };
    let activation = match fields.text("hidden_act")? {
        Some(_) => fields.activation("hidden_act")?,
        None => match fields.text("activation_function")?.as_deref() {
            None | Some("swiglu") => Activation::Silu,
            Some("geglu") => Activation::Gelu,
            Some(_) => return Err(fields.wrong("activation_function", "`swiglu` or `geglu`")),
        },
    };
    let dropout = |own, old| fields.share(either(fields, own, old)?, 0.0);
    let hidden_dropout = dropout("hidden_dropout_prob", "resid_pdrop")?;
    let heads = either(fields, "num_attention_heads", "n_head")?;
    let config = Config {
        encoder,
        vocabulary: fields.size("vocab_size")?,
        hidden,
        embedding: hidden,
        layers: fields.size(either(fields, "num_hidden_layers", "n_layer")?)?,
        heads: fields.size(heads)?,
        intermediate: fields.size(either(fields, "intermediate_size", "n_inner")?)?,
        activation,
        positions,
        token_types: fields.count("type_vocab_size", 2)?,
        layer_norm_epsilon: fields
            .positive(either(fields, "layer_norm_eps", "layer_norm_epsilon")?, 1e-12)?,
        hidden_dropout,
        attention_dropout: dropout("attention_probs_dropout_prob", "attn_pdrop")?,
        classifier_dropout: fields.share("classifier_dropout", hidden_dropout)?,
        padding_id: fields.count("pad_token_id", encoder.padding_id)?,
        initializer_range: fields.positive("initializer_range", 0.02)?,
        head_reads: Pooling::Cls,
        own: Value::Null,
    };
    finished(config, fields, heads, Own { theta, factor: 1.0 })
}

fn gte_config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    expect(
        fields,
        &[
            ("position_embedding_type", json!("rope")),
            ("layer_norm_type", json!("layer_norm")),
            ("logn_attention_scale", json!(false)),
            ("pack_qkv", json!(true)),
        ],
    )?;
    let is_new = fields.text("model_type")?.as_deref() == Some("new");
    let hidden = fields.size("hidden_size")?;
    let hidden_dropout = fields.share("hidden_dropout_prob", 0.1)?;
    let config = Config {
        encoder,
        vocabulary: fields.size("vocab_size")?,
        hidden,
        embedding: hidden,
        layers: fields.size("num_hidden_layers")?,
        heads: fields.size("num_attention_heads")?,
        intermediate: fields.size("intermediate_size")?,
        activation: fields.activation("hidden_act")?,
        positions: fields.count("max_position_embeddings", if is_new { 2048 } else { 8192 })?,
        token_types: fields.count("type_vocab_size", 1)?,
        layer_norm_epsilon: fields.positive("layer_norm_eps", 1e-12)?,
        hidden_dropout,
        attention_dropout: fields.share("attention_probs_dropout_prob", 0.0)?,
        classifier_dropout: fields.share("classifier_dropout", hidden_dropout)?,
        padding_id: fields.count("pad_token_id", if is_new { 0 } else { encoder.padding_id })?,
        initializer_range: fields.positive("initializer_range", 0.02)?,
        head_reads: Pooling::Cls,
        own: Value::Null,
    };
    let own = gte_rotation(fields, is_new, (config.hidden / config.heads.max(1)) as f32)?;
    finished(config, fields, "num_attention_heads", own)
}

/// Returns the rotation of a GTE: plain, with all frequencies divided by a factor (`linear`), or
/// with the base scaled as the authors' own code does (`ntk`): (θf)^(−2i/d) / f^(2/d).
fn gte_rotation(fields: &Fields<'_>, is_new: bool, width: f32) -> Result<Own, ModelError> {
    let number = |of: &Value, name: &str| {
        let found = of.get(name).and_then(Value::as_f64).map(|it| it as f32);
        found.filter(|it| it.is_finite() && *it > 0.0)
    };
    let form = |of: &Value| {
        let form = of.get("rope_type").or(of.get("type")).and_then(Value::as_str);
        form.unwrap_or("default").to_owned()
    };
    let usual = fields.positive("rope_theta", if is_new { 10_000.0 } else { 160_000.0 })?;
    let Some(name) =
        ["rope_parameters", "rope_scaling"].into_iter().find(|name| fields.get(name).is_some())
    else {
        return Ok(Own { theta: usual, factor: 1.0 });
    };
    let of = fields.get(name).unwrap_or(&Value::Null);
    let theta = number(of, "rope_theta").unwrap_or(usual);
    let mixed = of.get("mixed_b").is_some_and(|mixed| !mixed.is_null());
    match (form(of).as_str(), number(of, "factor")) {
        ("default", _) => Ok(Own { theta, factor: 1.0 }),
        ("linear", Some(factor)) => Ok(Own { theta, factor }),
        ("ntk", Some(factor)) if !mixed => {
            Ok(Own { theta: theta * factor, factor: factor.powf(2.0 / width) })
        }
        _ => Err(fields.wrong(name, "the type `default`, `linear` or `ntk` with a `factor`")),
    }
}

fn finished(
    config: Config,
    fields: &Fields<'_>,
    heads: &str,
    own: Own,
) -> Result<Config, ModelError> {
    let config = config.checked(fields, heads, "hidden_size")?;
    if !(config.hidden / config.heads).is_multiple_of(2) {
        return Err(fields.wrong(heads, "heads of an even width"));
    }
    Ok(config.with_own(own))
}

fn nomic_saved(config: &Config, raw: &mut Map<String, Value>) {
    let theta = config.own::<Own>().map_or(1000.0, |own| own.theta);
    let activation = if config.activation == Activation::Silu { "silu" } else { "gelu" };
    for (name, value) in [
        ("hidden_size", json!(config.hidden)),
        ("num_hidden_layers", json!(config.layers)),
        ("num_attention_heads", json!(config.heads)),
        ("intermediate_size", json!(config.intermediate)),
        ("max_position_embeddings", json!(config.positions)),
        ("type_vocab_size", json!(config.token_types)),
        ("layer_norm_eps", json!(config.layer_norm_epsilon)),
        ("hidden_act", json!(activation)),
        ("rope_parameters", json!({"rope_type": "default", "rope_theta": theta})),
    ] {
        raw.insert(name.to_owned(), value);
    }
    // The authors' own code, which reads the older names, would be looked for by the last.
    let old = ["n_embd", "n_layer", "n_head", "n_inner", "n_positions", "layer_norm_epsilon"];
    for old in old.into_iter().chain(["auto_map"]) {
        raw.shift_remove(old);
    }
}

fn gte_saved(config: &Config, raw: &mut Map<String, Value>) {
    let Ok(Own { theta, factor }) = config.own() else { return };
    let rotation = match factor {
        1.0 => json!({"rope_type": "default", "rope_theta": theta}),
        _ => json!({"rope_type": "linear", "rope_theta": theta, "factor": factor}),
    };
    // The authors' own code would be looked for by these.
    for old in ["rope_theta", "rope_scaling", "auto_map"] {
        raw.shift_remove(old);
    }
    for (name, value) in [
        ("model_type", json!("gte")),
        ("rope_parameters", rotation),
        ("max_position_embeddings", json!(config.positions)),
        ("pad_token_id", json!(config.padding_id)),
        ("type_vocab_size", json!(config.token_types)),
    ] {
        raw.insert(name.to_owned(), value);
    }
}

fn embeddings(b: &mut Builder, config: &Config, norm: &str) -> Result<Var, ShapeError> {
    let (Own { theta, factor }, hidden) = (config.own()?, config.hidden);
    let rotations = b.rotations(hidden / config.heads, theta, factor)?;
    for (name, var) in ROTATIONS.into_iter().zip(rotations) {
        b.keep(name, var);
    }
    let words = b.word_table("embeddings.word_embeddings", hidden);
    let mut sum = b.words(words)?; // [T, H]
    if config.token_types > 0 {
        let types = b.table("embeddings.token_type_embeddings", config.token_types, hidden);
        let row = b.first_row(types)?; // [1, H]
        sum = b.g.add(sum, row)?;
    }
    let norm = b.norm(norm, hidden, config.layer_norm_epsilon);
    let normed = b.normed(sum, norm)?;
    b.dropout(normed, config.hidden_dropout)
}

/// Attention with rotated queries and keys, up to its context `[T, H]`.
fn attention(
    b: &mut Builder,
    config: &Config,
    x: Var,
    module: &str,
    has_bias: bool,
) -> Result<Var, ShapeError> {
    let (hidden, heads) = (config.hidden, config.heads);
    let [q, k, v] = b.packed(x, module, hidden, has_bias)?;
    let rotations = [b.kept(ROTATIONS[0])?, b.kept(ROTATIONS[1])?];
    let q = b.rotated(q, heads, hidden / heads, rotations)?;
    let k = b.rotated(k, heads, hidden / heads, rotations)?;
    let rows = [q, k, v].map(|rows| (rows, None));
    b.attend(rows, Heads::plain(heads), config.attention_dropout)
}

/// What follows attention is asked of the first tokens alone, where only those are.
fn asked(b: &mut Builder, layer: Layer, context: Var) -> Result<[Var; 2], ShapeError> {
    match layer.first_token_only {
        true => Ok([b.first_tokens(context)?, b.first_tokens(layer.below)?]),
        false => Ok([context, layer.below]),
    }
}

fn nomic_layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let name = |module: &str| format!("encoder.layers.{}.{module}", layer.index);
    let (hidden, wide) = (config.hidden, config.intermediate);
    let (epsilon, rate) = (config.layer_norm_epsilon, config.hidden_dropout);
    let context = attention(b, config, layer.below, &name("attn.Wqkv"), false)?;
    let [context, x] = asked(b, layer, context)?;
    let attended = b.linear_if(context, &name("attn.out_proj"), [hidden; 2], false)?;
    let norm = b.norm(&name("norm1"), hidden, epsilon);
    let x = b.add_norm((attended, None), x, norm, rate)?;
    let up = b.linear_if(x, &name("mlp.fc11"), [wide, hidden], false)?; // [T, I]
    let gate = b.linear_if(x, &name("mlp.fc12"), [wide, hidden], false)?;
    let gate = b.activate((gate, None), config.activation)?;
    let gated = b.g.mul(up, gate)?;
    let made = b.down_if(gated, &name("mlp.fc2"), [hidden, wide], false)?;
    let norm = b.norm(&name("norm2"), hidden, epsilon);
    b.add_norm((made, None), x, norm, rate)
}

fn gte_layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let name = |module: &str| format!("encoder.layer.{}.{module}", layer.index);
    let (hidden, wide) = (config.hidden, config.intermediate);
    let (epsilon, rate) = (config.layer_norm_epsilon, config.hidden_dropout);
    let context = attention(b, config, layer.below, &name("attention.qkv_proj"), true)?;
    let [context, x] = asked(b, layer, context)?;
    let attended = b.linear_apart(context, &name("attention.o_proj"), hidden, hidden)?;
    let norm = b.norm(&name("attn_ln"), hidden, epsilon);
    let x = b.add_norm(attended, x, norm, rate)?;
    let both = b.linear_if(x, &name("mlp.up_gate_proj"), [2 * wide, hidden], false)?; // [T, 2I]
    let (up, gate) = (b.g.slice(both, 1, 0, wide)?, b.g.slice(both, 1, wide, 2 * wide)?);
    let gate = b.activate((gate, None), config.activation)?;
    let gated = b.g.mul(up, gate)?; // [T, I]
    let gated = b.dropout(gated, rate)?;
    let made = b.down_apart(gated, &name("mlp.down_proj"), [hidden, wide])?;
    let norm = b.norm(&name("mlp_ln"), hidden, epsilon);
    b.add_norm(made, x, norm, rate)
}

fn nomic_masked(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["cls.predictions.transform.dense", "cls.predictions.transform.layer_norm"];
    b.transform(x, modules, [config.hidden; 2], config.activation, config.layer_norm_epsilon)
}

fn gte_masked(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["lm_head.dense", "lm_head.norm"];
    b.transform(x, modules, [config.hidden; 2], Activation::Gelu, config.layer_norm_epsilon)
}
