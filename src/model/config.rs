//! config.json: what the layers need of it, and the parameters that it implies.

use std::path::Path;

use serde_json::Value;

use super::error::ModelError;
use super::supported::SUPPORTED;

/// What the layers need of config.json.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub architecture: Architecture,
    pub vocabulary: usize,
    /// H, the width of the hidden states.
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    /// The width of the feed-forward layer.
    pub intermediate: usize,
    pub activation: Activation,
    /// The rows of the position table.
    pub positions: usize,
    /// The rows of the token type table; 0 where the architecture has none.
    pub token_types: usize,
    pub layer_norm_epsilon: f32,
    pub hidden_dropout: f32,
    pub attention_dropout: f32,
    /// Over the head's input: `classifier_dropout`, or what the architecture falls back to
    /// (DistilBERT's `seq_classif_dropout`).
    pub classifier_dropout: f32,
    /// The padding token's id; RoBERTa counts positions from the one after it.
    pub padding_id: usize,
    /// The standard deviation of new weights.
    pub initializer_range: f32,
}

/// The encoder families that `pipe` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    Bert,
    DistilBert,
    /// RoBERTa and those that differ from it in their vocabulary alone: XLM-RoBERTa, CamemBERT.
    Roberta,
}

/// The activation of the feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The exact GELU, x·Φ(x).
    Gelu,
    /// GELU's approximation by tanh (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    Relu,
}

impl Config {
    /// Reads the fields of a config.json; `path` is for messages. Where transformers' configuration
    /// classes have a default that old files leave out, it is the same here.
    pub fn from_json(raw: &Value, path: &Path) -> Result<Config, ModelError> {
        let fields = Fields { raw, path };
        let architecture = match fields.text("model_type")?.as_deref() {
            Some("bert") => Architecture::Bert,
            Some("distilbert") => Architecture::DistilBert,
            Some("roberta" | "xlm-roberta" | "camembert") => Architecture::Roberta,
            Some(other) => {
                return Err(ModelError::Architecture {
                    path: path.to_owned(),
                    found: other.to_owned(),
                });
            }
            None => {
                return Err(ModelError::NoField {
                    path: path.to_owned(),
                    field: "model_type".to_owned(),
                    expected: SUPPORTED.to_owned(),
                });
            }
        };
        fields.refuse_variants()?;
        let config = match architecture {
            Architecture::DistilBert => Config {
                architecture,
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
                padding_id: fields.count("pad_token_id", 0)?,
                initializer_range: fields.positive("initializer_range", 0.02)?,
            },
            Architecture::Bert | Architecture::Roberta => {
                let hidden_dropout = fields.share("hidden_dropout_prob", 0.1)?;
                Config {
                    architecture,
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
                    padding_id: fields.count(
                        "pad_token_id",
                        usize::from(architecture == Architecture::Roberta),
                    )?,
                    initializer_range: fields.positive("initializer_range", 0.02)?,
                }
            }
        };
        config.check(&fields)?;
        Ok(config)
    }

    /// Returns the names and shapes of the encoder's parameters, from the embeddings up.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let (h, i) = (self.hidden, self.intermediate);
        let mut list = Parameters::default();
        list.weight("embeddings.word_embeddings", vec![self.vocabulary, h]);
        list.weight("embeddings.position_embeddings", vec![self.positions, h]);
        if self.token_types > 0 {
            list.weight("embeddings.token_type_embeddings", vec![self.token_types, h]);
        }
        list.norm("embeddings.LayerNorm", h);
        for index in 0..self.layers {
            match self.architecture {
                Architecture::Bert | Architecture::Roberta => {
                    let layer = format!("encoder.layer.{index}");
                    for part in ["query", "key", "value"] {
                        list.linear(&format!("{layer}.attention.self.{part}"), h, h);
                    }
                    list.linear(&format!("{layer}.attention.output.dense"), h, h);
                    list.norm(&format!("{layer}.attention.output.LayerNorm"), h);
                    list.linear(&format!("{layer}.intermediate.dense"), h, i);
                    list.linear(&format!("{layer}.output.dense"), i, h);
                    list.norm(&format!("{layer}.output.LayerNorm"), h);
                }
                Architecture::DistilBert => {
                    let layer = format!("transformer.layer.{index}");
                    for part in ["q_lin", "k_lin", "v_lin", "out_lin"] {
                        list.linear(&format!("{layer}.attention.{part}"), h, h);
                    }
                    list.norm(&format!("{layer}.sa_layer_norm"), h);
                    list.linear(&format!("{layer}.ffn.lin1"), h, i);
                    list.linear(&format!("{layer}.ffn.lin2"), i, h);
                    list.norm(&format!("{layer}.output_layer_norm"), h);
                }
            }
        }
        list.0
    }

    /// Returns the names and shapes of the architecture's own classification head for so many
    /// labels, as `transformers` names them (BERT's pooler without the prefix `bert.`).
    pub fn head_parameters(&self, labels: usize) -> Vec<(String, Vec<usize>)> {
        let h = self.hidden;
        let mut list = Parameters::default();
        let (dense, out) = match self.architecture {
            Architecture::Bert => ("pooler.dense", "classifier"),
            Architecture::DistilBert => ("pre_classifier", "classifier"),
            Architecture::Roberta => ("classifier.dense", "classifier.out_proj"),
        };
        list.linear(dense, h, h);
        list.linear(out, h, labels);
        list.0
    }

    fn check(&self, fields: &Fields<'_>) -> Result<(), ModelError> {
        let (heads, hidden) = match self.architecture {
            Architecture::DistilBert => ("n_heads", "dim"),
            Architecture::Bert | Architecture::Roberta => ("num_attention_heads", "hidden_size"),
        };
        if !self.hidden.is_multiple_of(self.heads) {
            return Err(fields.wrong(heads, &format!("a divisor of `{hidden}` ({})", self.hidden)));
        }
        if self.padding_id >= self.vocabulary {
            return Err(fields
                .wrong("pad_token_id", &format!("less than `vocab_size` ({})", self.vocabulary)));
        }
        // RoBERTa's first position is the one after the padding id.
        if self.architecture == Architecture::Roberta && self.positions <= self.padding_id + 1 {
            let expected = format!("more than `pad_token_id` + 1 ({})", self.padding_id + 1);
            return Err(fields.wrong("max_position_embeddings", &expected));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parameters(Vec<(String, Vec<usize>)>);

impl Parameters {
    fn weight(&mut self, module: &str, shape: Vec<usize>) {
        self.0.push((format!("{module}.weight"), shape));
    }

    /// A linear layer as PyTorch stores it: `[outputs, inputs]`.
    fn linear(&mut self, module: &str, inputs: usize, outputs: usize) {
        self.weight(module, vec![outputs, inputs]);
        self.0.push((format!("{module}.bias"), vec![outputs]));
    }

    fn norm(&mut self, module: &str, width: usize) {
        self.weight(module, vec![width]);
        self.0.push((format!("{module}.bias"), vec![width]));
    }
}

/// The largest size that a field may have: products of two still fit everywhere.
const LARGEST: u64 = 1 << 24;

struct Fields<'a> {
    raw: &'a Value,
    path: &'a Path,
}

impl Fields<'_> {
    /// `null` counts as absent, as in `transformers`.
    fn get(&self, name: &str) -> Option<&Value> {
        self.raw.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, field: &str, expected: &str) -> ModelError {
        ModelError::Field {
            path: self.path.to_owned(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: self.raw.get(field).unwrap_or(&Value::Null).to_string(),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, ModelError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    fn size(&self, name: &str) -> Result<usize, ModelError> {
        let expected = format!("a whole number from 1 to {LARGEST}");
        match self.get(name) {
            None => Err(ModelError::NoField {
                path: self.path.to_owned(),
                field: name.to_owned(),
                expected,
            }),
            Some(value) => value
                .as_u64()
                .filter(|size| (1..=LARGEST).contains(size))
                .map(|size| size as usize)
                .ok_or_else(|| self.wrong(name, &expected)),
        }
    }

    fn count(&self, name: &str, default: usize) -> Result<usize, ModelError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .filter(|count| *count <= LARGEST)
                .map(|count| count as usize)
                .ok_or_else(|| self.wrong(name, &format!("a whole number from 0 to {LARGEST}"))),
        }
    }

    fn share(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        self.number(name, default, "a number from 0 to less than 1", |value| {
            (0.0..1.0).contains(&value)
        })
    }

    fn positive(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        self.number(name, default, "a number greater than 0", |value| value > 0.0)
    }

    fn number(
        &self,
        name: &str,
        default: f32,
        expected: &str,
        fits: impl Fn(f32) -> bool,
    ) -> Result<f32, ModelError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .map(|value| value as f32)
                .filter(|value| value.is_finite() && fits(*value))
                .ok_or_else(|| self.wrong(name, expected)),
        }
    }

    fn activation(&self, name: &str) -> Result<Activation, ModelError> {
        match self.text(name)?.as_deref() {
            None | Some("gelu" | "gelu_python") => Ok(Activation::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            Some(_) => Err(self.wrong(name, "`gelu`, `gelu_new`, `gelu_pytorch_tanh` or `relu`")),
        }
    }

    /// Refuses variants that have the same parameters and compute something else.
    fn refuse_variants(&self) -> Result<(), ModelError> {
        if !matches!(self.text("position_embedding_type")?.as_deref(), None | Some("absolute")) {
            return Err(self.wrong("position_embedding_type", "`absolute`"));
        }
        for name in ["is_decoder", "add_cross_attention", "is_encoder_decoder"] {
            if self.get(name) == Some(&Value::Bool(true)) {
                return Err(self.wrong(name, "`false`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn wrong_fields_are_named_with_both_sides() {
        let cases = [
            (
                with("model_type", json!("gpt2")),
                "`config.json` has the architecture `gpt2`; `bert`, `distilbert`, `roberta`, \
                 `xlm-roberta` and `camembert` are supported",
            ),
            (
                with("model_type", Value::Null),
                "`config.json` has no `model_type`; expected `bert`, `distilbert`, `roberta`, \
                 `xlm-roberta` and `camembert`",
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
                with("hidden_act", json!("silu")),
                "`config.json` has `hidden_act: \"silu\"`; expected `gelu`, `gelu_new`, \
                 `gelu_pytorch_tanh` or `relu`",
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
