//! A Hugging Face model folder in memory.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;

/// Parameters by their Hugging Face name.
pub type Weights = BTreeMap<String, ArrayD<f32>>;

/// A pretrained encoder: configuration, weights and tokenizer files.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// What the layers need of config.json.
    pub config: Config,
    /// config.json as it was read, so that what `pipe` does not know survives a save.
    pub raw_config: serde_json::Value,
    /// The parameters, named relative to the encoder: `embeddings.word_embeddings.weight`, whatever prefix (`bert.`) the
    /// file has; those of a classification head keep their names (`classifier.weight`).
    pub weights: Weights,
    /// The other files that belong to the model (tokenizer.json, vocab.txt, special_tokens_map.json, ...), by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

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
    /// Over the head's input: `classifier_dropout`, or what the architecture falls back to (DistilBERT's `seq_classif_dropout`).
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

/// A model folder that cannot be found, read or written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ModelError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the model cannot be written as ONNX: {0}")]
    Graph(String),
}

impl Pretrained {
    /// Reads a Hugging Face folder.
    pub fn read(_folder: &Path) -> Result<Pretrained, ModelError> {
        unimplemented!()
    }

    /// Writes a folder that `transformers` opens as a sequence classifier with these labels (`AutoModelForSequenceClassification`)
    /// where the weights hold the architecture's own head, else as an encoder with the head beside it.
    pub fn write(&self, _folder: &Path, _labels: &[String]) -> Result<(), ModelError> {
        unimplemented!()
    }
}
