//! What stages give each other, and how it lies on the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::error::StageError;
use crate::data::{AugmentationSummary, Curves, DataSet, Prediction, Split};
use crate::model::input_layout::InputLayout;
use crate::model::{Head, Pretrained};

/// What a stage gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A data set with splits.
    Data,
    /// A trained model.
    Model,
    /// Predictions and metrics on one split.
    Scores,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Data => "a data set",
            Kind::Model => "a trained model",
            Kind::Scores => "scores",
        })
    }
}

/// The output of a stage.
#[derive(Debug)]
pub enum Artifact {
    Data(DataSet),
    Model(TrainedModel),
    Scores(Evaluation),
}

impl Artifact {
    /// Returns what kind of output this is.
    pub fn kind(&self) -> Kind {
        match self {
            Artifact::Data(_) => Kind::Data,
            Artifact::Model(_) => Kind::Model,
            Artifact::Scores(_) => Kind::Scores,
        }
    }

    /// Writes the artifact's files into an existing, empty folder.
    pub fn write(&self, folder: &Path) -> Result<(), StageError> {
        match self {
            Artifact::Data(data) => Ok(data.write(folder)?),
            Artifact::Model(model) => model.write(folder),
            Artifact::Scores(scores) => scores.write(folder),
        }
    }

    /// Reads an artifact that [`Artifact::write`] wrote.
    pub fn read(kind: Kind, folder: &Path) -> Result<Artifact, StageError> {
        Ok(match kind {
            Kind::Data => Artifact::Data(DataSet::read(folder)?),
            Kind::Model => Artifact::Model(TrainedModel::read(folder)?),
            Kind::Scores => Artifact::Scores(Evaluation::read(folder)?),
        })
    }
}

/// A fine-tuned model.
///
/// On the disk: the files of its network, `training.json` (the other fields here) and
/// `curves.parquet`.
#[derive(Debug)]
pub struct TrainedModel {
    pub network: Network,
    /// The class names in the order of the logits.
    pub labels: Vec<String>,
    /// The longest input in tokens; longer texts are truncated.
    pub max_length: usize,
    /// What training took.
    pub summary: TrainingSummary,
    /// Loss, learning rate and dev metrics by step.
    pub curves: Curves,
}

/// What a trained model computes its logits with.
#[derive(Debug)]
pub enum Network {
    /// An encoder of ours. On the disk: a Hugging Face folder (config.json with `id2label`,
    /// model.safetensors, tokenizer files), and `model.onnx` for inference, whose weights are those
    /// in model.safetensors.
    Encoder {
        /// The weights with their configuration and tokenizer.
        pretrained: Pretrained,
        /// What the classification head reads.
        head: Head,
    },
    /// Any network, trained from artifacts. On the disk: `model.onnx` with its weights, and the
    /// tokenizer files.
    Onnx(OnnxModel),
}

/// A model for inference that holds its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxModel {
    pub model: Vec<u8>,
    /// The name of the output with the logits.
    pub output: String,
    /// How its inputs are laid out.
    pub layout: InputLayout,
    /// The files of the tokenizer, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What training took and where it ran; these go into the results table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds of training, all attempts together.
    pub seconds: f64,
    /// `session` or `training_api`.
    pub backend: String,
    /// Why it was this one.
    #[serde(default)]
    pub backend_reason: String,
    /// Such as `cpu` or `cuda:0`.
    pub device: String,
    /// Trained and all parameters.
    pub trainable_parameters: u64,
    pub parameters: u64,
    /// The share of train texts that were longer than `max_length` tokens.
    pub truncated_share: f64,
    /// The epoch (from 1) whose weights were kept, where a best checkpoint was asked for.
    pub best_epoch: Option<u32>,
    /// The most parts that a batch was computed in; `None` where all were computed whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u64>,
    /// The steps that were left out because gradients in half precision overflowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_steps: Option<u64>,
    /// What became of generated texts, where train holds some.
    #[serde(default)]
    pub augmentation: Option<AugmentationSummary>,
}

/// Predictions of one model on one split, with every metric.
///
/// On the disk: `predictions.parquet` and `evaluation.json` (the other fields here; metrics and
/// confusion are there for other programs and are computed again from the predictions when it is
/// read, so that they are the same to the last bit).
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub split: Split,
    /// The class names in the order of the probabilities.
    pub labels: Vec<String>,
    /// One row per example, in the split's order.
    pub predictions: Vec<Prediction>,
    /// Every metric by name: `accuracy`, `macro_f1`, ..., and per class `f1/<label>`.
    pub metrics: IndexMap<String, f64>,
    /// Rows: true class; columns: predicted class.
    pub confusion: Vec<Vec<u64>>,
    /// What the model's training took.
    pub training: TrainingSummary,
}
