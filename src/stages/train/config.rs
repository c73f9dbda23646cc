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
    /// The stage that gives the data set. Its dev split serves early stopping, the best checkpoint
    /// and plateau schedules.
    pub data: StageId,
    /// The pretrained encoder.
    pub model: Model,
    /// How often the training data is gone through. Left out: 10, or as often as `budget` has steps
    /// for.
    #[serde(default)]
    pub epochs: Option<u32>,
    /// Stops after so many of the `epochs`, with the schedule of them all; the same training
    /// without this key goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<u32>,
    /// How long training goes on, in place of `epochs`: runs on data of different size are compared
    /// fairly by equal steps.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// Examples per optimizer step and accumulation part.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// The longest input in tokens; longer texts are truncated, and the share of them is reported.
    #[serde(default = "default_max_length")]
    pub max_length: usize,
    /// Dropout over the encoder's hidden states, attention probabilities and the head. Left out:
    /// the model's own configuration.
    #[serde(default)]
    pub dropout: Option<f32>,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// The largest global L2 norm of the gradients; larger ones are scaled down. `null` for none.
    #[serde(default = "default_gradient_clip")]
    pub gradient_clip: Option<f32>,
    /// Batches whose gradients are averaged into one optimizer step.
    #[serde(default = "default_one")]
    pub accumulation: u32,
    /// The most tokens, padding included, that are computed at a time: larger batches are computed
    /// in parts whose gradients are added up, which takes less memory and gives the same steps but
    /// for dropout's masks. Left out: whole batches, or smaller parts where memory runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_step: Option<usize>,
    /// How exactly matrix products are computed; parameters and all else are in single precision.
    /// `tf32` needs a GPU.
    #[serde(default)]
    pub precision: Precision,
    /// Where this training runs, whatever `--device` says: `cpu`, `cuda` or `cuda:N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The loss.
    #[serde(default)]
    pub loss: Loss,
    /// Which parameters stay as they are. Left out: all are trained.
    #[serde(default)]
    pub freeze: Option<Freeze>,
    /// Stops when a dev metric no longer improves.
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
    /// Keeps the weights of the epoch with the best dev metric in place of the last epoch's.
    #[serde(default)]
    pub best_checkpoint: Option<Metric>,
    /// What trains: ordinary ONNX Runtime sessions, or ONNX Runtime's training API where the loaded
    /// library has it.
    #[serde(default)]
    pub backend: Backend,
    /// A folder (relative to this file) of training artifacts that `generate_artifacts` or `pipe
    /// artifacts` made: they are trained through the training API in place of a network of `pipe`'s
    /// own. Of `model.pretrained` only the tokenizer and what config.json says of padding are used
    /// then.
    #[serde(default)]
    pub artifacts: Option<String>,
}

/// How long training goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// So many optimizer steps. The training data is gone through as often as it takes; the last
    /// time may be cut short.
    Steps(u64),
}

/// A pretrained encoder and how it becomes a classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A Hugging Face folder (relative to this file), `pip:NAME[==VERSION]` (a package that carries
    /// one) or `hf:ORG/NAME[@REVISION]` (the hub).
    pub pretrained: String,
    /// What the classification head reads.
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
    /// The learning rate of the classification head, where it should differ.
    #[serde(default)]
    pub head_learning_rate: Option<f64>,
    /// The decay λ of parameters that decay at all; biases and LayerNorm do not unless `decay_all`
    /// says so.
    #[serde(default = "default_weight_decay")]
    pub weight_decay: f64,
    /// Lets biases and LayerNorm decay too.
    #[serde(default)]
    pub decay_all: bool,
    /// The decay rates β₁ and β₂ of the moments.
    #[serde(default = "default_betas")]
    pub betas: [f64; 2],
    /// The ε that is added to the root of the second moment.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
}

/// SGD's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// The step size, before the schedule.
    pub learning_rate: f64,
    /// The learning rate of the classification head, where it should differ.
    #[serde(default)]
    pub head_learning_rate: Option<f64>,
    /// The share of the last step that is kept.
    #[serde(default)]
    pub momentum: f64,
    /// The L2 penalty, added to the gradient; biases and LayerNorm have none unless `decay_all`
    /// says so.
    #[serde(default)]
    pub weight_decay: f64,
    /// Lets biases and LayerNorm decay too.
    #[serde(default)]
    pub decay_all: bool,
}

/// How the learning rate changes over the steps of a run. `warmup` is the share of all steps over
/// which it rises from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays as it is, after the warm-up.
    Constant(Warmup),
    /// Falls in a straight line to 0.
    Linear(Warmup),
    /// Falls along half a cosine to 0.
    Cosine(Warmup),
    /// Falls as a power of the remaining share of steps.
    Polynomial(Polynomial),
    /// Falls by a factor when a metric has stopped improving (PyTorch's ReduceLROnPlateau).
    ReduceOnPlateau(ReduceOnPlateau),
    /// The learning rate of the optimizer, unchanged.
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
    /// The power.
    #[serde(default = "default_power")]
    pub power: f64,
    /// The last learning rate, as a share of the first.
    #[serde(default)]
    pub end: f64,
}

/// PyTorch's ReduceLROnPlateau, stepped once per epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReduceOnPlateau {
    /// What is watched.
    #[serde(default)]
    pub monitor: Monitor,
    /// Whether less or more is better.
    #[serde(default)]
    pub mode: PlateauMode,
    /// What the learning rate is multiplied with.
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// Epochs without improvement that are borne: the rate falls after one more, as in PyTorch.
    #[serde(default = "default_patience")]
    pub patience: u32,
    /// The least change that counts as one.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// Whether the threshold is a share of the best value or an amount.
    #[serde(default)]
    pub threshold_mode: ThresholdMode,
    /// Epochs after a reduction that are not counted.
    #[serde(default)]
    pub cooldown: u32,
    /// The least learning rate.
    #[serde(default)]
    pub min_learning_rate: f64,
    /// The least reduction that is carried out.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
}

/// What a plateau schedule watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The mean train loss of the epoch.
    #[default]
    TrainLoss,
    /// The least batch loss of the epoch.
    MinTrainLoss,
    /// The loss on dev.
    DevLoss,
    /// The accuracy on dev.
    DevAccuracy,
    /// The macro F1 on dev.
    DevMacroF1,
}

/// Whether less or more is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    #[default]
    Min,
    Max,
}

/// Whether a threshold is a share of the best value or an amount.
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
    /// The share ε of the target that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f32,
    /// What each class counts. Left out: all the same.
    #[serde(default)]
    pub class_weights: Option<ClassWeights>,
}

/// What each class counts in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// n / (K · n_c): each class counts the same in total (scikit-learn's `balanced`).
    Balanced,
    /// A weight for every label.
    Given(IndexMap<String, f32>),
}

/// Which parameters stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// The whole encoder: only the head is trained.
    Encoder,
    /// All but the head and this many of the encoder's top layers.
    AllButTopLayers(usize),
    /// Parameters whose Hugging Face name matches one of the patterns; `*` stands for any text:
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
    /// Training stops after this many epochs without improvement.
    #[serde(default = "default_stopping_patience")]
    pub patience: u32,
    /// The least change that counts as improvement.
    #[serde(default)]
    pub min_delta: f64,
}

/// A metric on dev.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The cross-entropy (less is better).
    #[default]
    Loss,
    Accuracy,
    MacroF1,
}

/// What trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The training API where the loaded library has it and the recipe fits, else sessions.
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
