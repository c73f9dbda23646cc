//! config.json: the architecture that it names, which reads the rest.

use std::path::Path;

use serde_json::Value;

use super::encoders::parts::fields::Fields;
use super::encoders::{Config, ENCODERS, Encoder};
use super::error::ModelError;

impl Config {
    /// Reads the fields of a config.json; `path` is for messages. Where transformers' configuration
    /// classes have a default that old files leave out, it is the same here.
    pub fn from_json(raw: &Value, path: &Path) -> Result<Config, ModelError> {
        let supported = supported();
        let fields = Fields::new(raw, path, &supported);
        let Some(model_type) = fields.text("model_type")? else {
            return Err(fields.missing("model_type", &supported));
        };
        match find(&model_type) {
            Some(encoder) => (encoder.config)(encoder, &fields),
            None => Err(ModelError::Architecture {
                path: path.to_owned(),
                nearest: nearest(raw, path),
                found: model_type,
                supported,
            }),
        }
    }
}

/// Says which architecture could read a configuration of another, and reads most of its fields.
fn nearest(raw: &Value, path: &Path) -> String {
    let asked = |encoder: &&'static Encoder| {
        let fields = Fields::new(raw, path, "");
        (encoder.config)(encoder, &fields).ok()?;
        Some((fields.asked(), *encoder))
    };
    // The first of those that read as many.
    let readers = ENCODERS.iter().filter_map(asked).rev();
    match readers.max_by_key(|(asked, _)| *asked) {
        None => "its sizes have other names than those of any of them".to_owned(),
        Some((asked, encoder)) => format!(
            "nearest by its configuration is `{}`, which reads {asked} of its {} fields",
            encoder.model_types.first().map_or("", |(model_type, _)| model_type),
            raw.as_object().map_or(0, |fields| fields.len())
        ),
    }
}

/// Returns the encoder that a `model_type` names.
pub fn find(model_type: &str) -> Option<&'static Encoder> {
    let is_it = |encoder: &&&Encoder| encoder.model_types.iter().any(|(it, _)| *it == model_type);
    ENCODERS.iter().find(is_it).copied()
}

/// Lists the supported values of `model_type`, for messages.
fn supported() -> String {
    let types = ENCODERS.iter().flat_map(|encoder| encoder.model_types);
    let types: Vec<String> = types.map(|(model_type, _)| format!("`{model_type}`")).collect();
    match types.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::head::Pooling;
    use serde_json::json;

    fn bert() -> Value {
        json!({"model_type": "bert", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
               "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 16,
               "hidden_dropout_prob": 0.3, "classifier_dropout": null})
    }

    fn read(raw: &Value) -> Result<Config, String> {
        Config::from_json(raw, Path::new("config.json")).map_err(|error| error.to_string())
    }

    fn with(field: &str, value: Value) -> Value {
        let mut raw = bert();
        raw[field] = value;
        raw
    }

    #[test]
    fn the_head_falls_back_to_the_hidden_dropout() {
        assert_eq!(read(&bert()).map(|config| config.classifier_dropout), Ok(0.3));
        assert_eq!(
            read(&with("classifier_dropout", json!(0.2))).map(|config| config.classifier_dropout),
            Ok(0.2)
        );
    }

    #[test]
    fn rotations_that_are_not_computed_are_refused() {
        let modern = json!({"model_type": "modernbert", "vocab_size": 100, "hidden_size": 32,
            "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48,
            "pad_token_id": 0, "position_embedding_type": "sans_pos",
            "classifier_pooling": "mean"});
        assert!(read(&modern).is_ok_and(|config| config.head_reads == Pooling::Mean));
        let nomic = json!({"model_type": "nomic_bert", "vocab_size": 100, "n_embd": 32,
            "n_layer": 2, "n_head": 4, "n_inner": 48, "rotary_emb_fraction": 1.0,
            "rotary_emb_base": 1000, "resid_pdrop": 0, "hidden_dropout_prob": 0.0,
            "activation_function": "swiglu", "qkv_proj_bias": false});
        assert!(read(&nomic).is_ok_and(|config| config.hidden == 32 && config.layers == 2));
        for raw in [&modern, &nomic] {
            for (name, value) in [
                ("rope_scaling", json!({"rope_type": "yarn", "factor": 4})),
                ("rope_scaling", json!({"type": "linear", "factor": 4})),
            ] {
                let mut raw = raw.clone();
                raw[name] = value;
                let refused = read(&raw).err().unwrap_or_default();
                assert!(refused.contains("`rope_scaling:"), "{refused:?}");
            }
        }
        for (name, value) in [
            ("num_experts", json!(8)),
            ("rotary_emb_fraction", json!(0.5)),
            ("prenorm", json!(true)),
            ("activation_function", json!("gelu_new")),
            ("hidden_size", json!(48)),
        ] {
            let mut raw = nomic.clone();
            raw[name] = value;
            let refused = read(&raw).err().unwrap_or_default();
            assert!(refused.contains(name), "{name}: {refused:?}");
        }
    }

    #[test]
    fn an_unknown_architecture_has_a_nearest() {
        let of = |raw: &Value| nearest(raw, Path::new("config.json"));
        let mut raw = with("model_type", json!("unknown"));
        assert_eq!(
            of(&raw),
            "nearest by its configuration is `bert`, which reads 7 of its 9 fields"
        );
        raw["pos_att_type"] = json!("c2p|p2c");
        raw["relative_attention"] = json!(true);
        raw["max_relative_positions"] = json!(-1);
        assert!(of(&raw).contains("is `deberta-v2`, which reads 10 of its 12"), "{}", of(&raw));
        let other = of(&json!({"n_embd": 32, "n_layer": 2}));
        assert_eq!(other, "its sizes have other names than those of any of them");
    }

    #[test]
    fn wrong_fields_are_named_with_both_sides() {
        let cases = [
            (
                with("model_type", json!("gpt2")),
                "`config.json` has the architecture `gpt2`; `bert`, `distilbert`, `roberta`, \
                 `xlm-roberta`, `camembert`, `mpnet`, `electra`, `albert`, `modernbert`, \
                 `deberta-v2`, `nomic_bert`, `gte` and `new` are supported",
            ),
            (
                with("model_type", Value::Null),
                "`config.json` has no `model_type`; expected `bert`, `distilbert`, `roberta`, \
                 `xlm-roberta`, `camembert`, `mpnet`, `electra`, `albert`, `modernbert`, \
                 `deberta-v2`, `nomic_bert`, `gte` and `new`",
            ),
            (
                with("vocab_size", Value::Null),
                "`config.json` has no `vocab_size`; expected a whole number from 1 to 16777216",
            ),
            (
                with("hidden_size", json!("wide")),
                "`config.json` has `hidden_size: \"wide\"`; expected a whole number from 1 to \
                 16777216",
            ),
            (
                with("hidden_size", json!(-3)),
                "`config.json` has `hidden_size: -3`; expected a whole number from 1 to 16777216",
            ),
            (
                with("num_attention_heads", json!(5)),
                "`config.json` has `num_attention_heads: 5`; expected a divisor of `hidden_size` \
                 (32)",
            ),
            (
                with("hidden_dropout_prob", json!(1)),
                "`config.json` has `hidden_dropout_prob: 1`; expected a number from 0 to less than \
                 1",
            ),
            (
                with("hidden_act", json!("mish")),
                "`config.json` has `hidden_act: \"mish\"`; expected `gelu`, `gelu_new`, \
                 `gelu_pytorch_tanh`, `relu`, `tanh` or `silu`",
            ),
            (
                with("position_embedding_type", json!("relative_key")),
                "`config.json` has `position_embedding_type: \"relative_key\"`; expected \
                 `absolute`",
            ),
            (
                with("is_decoder", json!(true)),
                "`config.json` has `is_decoder: true`; expected `false`",
            ),
            (
                with("pad_token_id", json!(100)),
                "`config.json` has `pad_token_id: 100`; expected less than `vocab_size` (100)",
            ),
        ];
        for (raw, message) in cases {
            assert_eq!(read(&raw).map(|_| ()), Err(message.to_owned()));
        }
        assert!(read(&json!([1, 2])).is_err());
    }
}
