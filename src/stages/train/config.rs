//! The configuration of `train`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapters::Adapters;
use super::freeze::Freeze;
use super::objective::{DevMetric, Loss};
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::stopping::EarlyStopping;
use crate::engine::{Device, Precision};
use crate::model::{Head, Prompt};
use crate::stages::contract::stage::StageId;
use crate::stages::leaks::Leaks;
use crate::text::Windows;

/// Fine-tunes a pretrained encoder on the train split, with a classification head on top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The stage that provides the data set. Its dev split serves early stopping, the best
    /// checkpoint and plateau schedules.
    pub data: StageId,
    /// The pretrained encoder.
    pub model: Model,
    /// The number of passes over the training data. Default: 10, or as many as the steps of
    /// `budget` need.
    #[serde(default)]
    pub epochs: Option<u32>,
    /// Pauses after this many epochs. The schedule still spans all `epochs`; the same training
    /// without this key resumes from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<u32>,
    /// The length of the training, instead of `epochs`. Equal steps make runs on data of different
    /// sizes comparable.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// The number of examples per batch.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// The longest input in tokens; longer texts are truncated, and their share is reported.
    /// Default: the
    /// `max_seq_length` of a sentence-transformers folder, up to 512; 128 for any other.
    #[serde(default)]
    pub max_length: Option<usize>,
    /// Reads all of longer texts, in windows of `max_length` tokens whose logits are combined.
    /// `evaluate` does the same. Default: they are truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// The dropout rate of hidden states, attention probabilities and the head. Default: the
    /// model's own configuration.
    #[serde(default)]
    pub dropout: Option<f32>,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// The largest global L2 norm of the gradients; larger norms are scaled down. `null` means no
    /// limit.
    #[serde(default = "default_gradient_clip")]
    pub gradient_clip: Option<f32>,
    /// The number of batches whose gradients are averaged into one optimizer step.
    #[serde(default = "default_one")]
    pub accumulation: u32,
    /// The largest number of tokens, padding included, that are computed at a time. Larger batches
    /// are computed in parts whose gradients are added up. This uses less memory for the same
    /// steps, except for the dropout masks. Default: whole batches, split only when memory runs
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_step: Option<usize>,
    /// The precision of matrix products; parameters and all else are in single precision. `tf32`
    /// needs a GPU.
    #[serde(default)]
    pub precision: Precision,
    /// The device of this training, which overrides `--device`: `cpu`, `cuda` or `cuda:N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The loss.
    #[serde(default)]
    pub loss: Loss,
    /// How to treat dev texts that the pretrained model has learnt from, where `pipe` has trained
    /// it.
    #[serde(default, skip_serializing_if = "Leaks::is_error")]
    pub duplicates: Leaks,
    /// The parameters that are not trained. Default: all are trained.
    #[serde(default)]
    pub freeze: Option<Freeze>,
    /// What is trained of the encoder in place of its weights, beside the head. Default: the
    /// weights themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapters: Option<Adapters>,
    /// Stops when a dev metric no longer improves.
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
    /// Keeps the weights of the epoch with the best dev metric instead of the last epoch's.
    #[serde(default)]
    pub best_checkpoint: Option<DevMetric>,
    /// The training backend: ordinary ONNX Runtime sessions, or ONNX Runtime's training API if the
    /// loaded library has it.
    #[serde(default)]
    pub backend: Backend,
    /// A folder (relative to this file) of training artifacts from `generate_artifacts` or `pipe
    /// artifacts`. They are trained with the training API instead of `pipe`'s own network. Then
    /// only what is done to texts, the tokenizer, the padding settings and the seen texts of
    /// `model.pretrained` are used.
    #[serde(default)]
    pub artifacts: Option<String>,
}

/// The length of a training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// The number of optimizer steps. The training data is repeated as often as needed; the last
    /// pass may be cut short.
    Steps(u64),
}

/// A pretrained encoder and its classification head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A Hugging Face folder (relative to this file), `pip:NAME[==VERSION]` (a package that
    /// contains one) or `hf:ORG/NAME[@REVISION]` (the hub).
    pub pretrained: String,
    /// The input of the classification head, which is a linear layer over it.
    #[serde(default)]
    pub head: Head,
    /// What stands before each text. It is stored with the trained model, and `evaluate` puts the
    /// same before its texts.
    #[serde(default, skip_serializing_if = "Prompt::is_auto")]
    pub prompt: Prompt,
}

/// The training backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The training API if the loaded library has it and the recipe fits, else sessions.
    #[default]
    Auto,
    /// ONNX Runtime's training API. It has one learning rate and one weight decay: AdamW without
    /// `head_learning_rate`, and with `decay_all: true` or `weight_decay: 0`.
    TrainingApi,
    /// Ordinary sessions; every ONNX Runtime has them.
    Session,
}

impl Train {
    /// Returns how often the training data is gone through, where that is known beforehand.
    pub fn whole_epochs(&self) -> Option<u32> {
        match self.budget {
            Some(_) => None,
            None => Some(self.epochs.unwrap_or(DEFAULT_EPOCHS)),
        }
    }

    /// Returns the optimizer steps of a training whose epochs have so many.
    pub(super) fn total_steps(&self, steps_per_epoch: u64) -> u64 {
        match self.budget {
            // Without texts there is no step to be made.
            Some(Budget::Steps(steps)) => {
                if steps_per_epoch > 0 {
                    steps
                } else {
                    0
                }
            }
            None => steps_per_epoch * u64::from(self.epochs.unwrap_or(DEFAULT_EPOCHS)),
        }
    }
}

/// The epochs of a training that says neither `epochs` nor `budget`.
const DEFAULT_EPOCHS: u32 = 10;
fn default_batch_size() -> usize {
    16
}
pub(super) fn default_gradient_clip() -> Option<f32> {
    Some(1.0)
}
fn default_one() -> u32 {
    1
}
