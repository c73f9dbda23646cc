//! The configuration of `train`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapters::Adapters;
use super::average::Average;
use super::freeze::Freeze;
use super::label_texts::LabelTexts;
use super::method::Method;
use super::objective::{DevMetric, Loss};
use super::optimizer::Optimizer;
use super::plateau::Monitor;
use super::regularise::Regularise;
use super::schedule::Schedule;
use super::settings::{Backend, Model, Settings, Span};
use super::stopping::EarlyStopping;
use crate::engine::{Device, Precision};
use crate::stages::contract::stage::StageId;
use crate::stages::leaks::Leaks;
use crate::text::Windows;

/// Trains a classifier on the train split from a pretrained encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The stage that provides the data set. Its dev split serves early stopping, the best
    /// checkpoint and plateau schedules.
    pub data: StageId,
    /// The encoder that the training begins with.
    pub model: Model,
    /// How the model learns from the texts.
    #[serde(default)]
    pub method: Method,
    /// Texts that say what the labels mean. Default: `auto` for `contrastive` and `zero_shot`, else
    /// `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_texts: Option<LabelTexts>,
    /// The number of passes over the training data. Default: as many as the steps of `budget` need,
    /// or those of the method; 10 of `fine_tune`.
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
    /// The number of examples per batch. Default: that of the method; 16 of `fine_tune`.
    #[serde(default)]
    pub batch_size: Option<usize>,
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
    /// How the learning rate changes. Default: as the method has it; not at all in `fine_tune`.
    #[serde(default)]
    pub schedule: Option<Schedule>,
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
    /// The number of top layers that begin anew, as a pooler and the head then do (Zhang et al.
    /// 2021): linear layers drawn with the model's `initializer_range`, biases 0, norms 1. No model
    /// of sentence-transformers may do so. Default: all begin with the pretrained weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinitialise: Option<usize>,
    /// What keeps the encoder near its pretrained weights. Default: weight decay alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regularise: Option<Regularise>,
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
    /// Keeps averages of the weights over steps. Default: the weights of the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// The number of optimizer steps. The training data is repeated as often as needed; the last
    /// pass may be cut short.
    Steps(u64),
}

impl Train {
    /// Returns the settings of the training, with the defaults of its method.
    pub fn settings(&self) -> Settings {
        let defaults = self.method.learner().defaults();
        let adapters = self.adapters.as_ref();
        let rates = adapters.map_or((defaults.learning_rate, None), Adapters::default_rates);
        Settings {
            model: self.model.clone(),
            label_texts: self.label_texts.clone().or(defaults.label_texts),
            span: self.span(),
            stop_after: self.stop_after,
            batch_size: self.batch_size.unwrap_or(defaults.batch_size),
            max_length: self.max_length,
            windows: self.windows,
            dropout: self.dropout,
            optimizer: self.optimizer.clone().at_rates(rates),
            schedule: self.schedule.clone().unwrap_or(defaults.schedule),
            gradient_clip: self.gradient_clip,
            accumulation: self.accumulation,
            max_tokens_per_step: self.max_tokens_per_step,
            precision: self.precision,
            loss: self.loss.clone(),
            reinitialise: self.reinitialise,
            regularise: self.regularise.clone(),
            freeze: self.freeze.clone(),
            adapters: self.adapters.clone(),
            early_stopping: self.early_stopping.clone(),
            best_checkpoint: self.best_checkpoint,
            average: self.average.clone(),
            backend: self.backend,
        }
    }

    /// Says whether the method has a use for a setting.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.method.learner().refuses().iter().all(|(field, _)| *field != name)
    }

    /// Puts the defaults of the method into what the file leaves out, except where the method has
    /// no use for a setting.
    pub(super) fn fill(&mut self) {
        let settings = self.settings();
        if self.takes("batch_size") {
            self.batch_size = Some(settings.batch_size);
        }
        if self.takes("schedule") {
            self.schedule = Some(settings.schedule);
        }
        if self.takes("optimizer") {
            self.optimizer = settings.optimizer;
        }
        if self.takes("epochs") && self.budget.is_none() {
            self.epochs = settings.span.epochs();
        }
        if self.takes("label_texts") {
            self.label_texts = settings.label_texts;
        }
    }

    /// Returns the length of the training.
    pub fn span(&self) -> Span {
        match (self.budget, self.epochs) {
            (Some(Budget::Steps(steps)), _) => Span::Steps(steps),
            (None, Some(epochs)) => Span::Epochs(epochs),
            (None, None) => self.method.learner().defaults().span,
        }
    }

    /// Returns the stage whose model teaches this one, where there is one.
    pub fn teacher(&self) -> Option<&StageId> {
        self.method.learner().inputs().first().map(|port| port.stage)
    }

    /// Says whether the schedule follows a dev metric.
    fn follows_dev(&self) -> bool {
        match &self.schedule {
            Some(Schedule::ReduceOnPlateau(settings)) => {
                matches!(settings.monitor, Monitor::Dev(_))
            }
            _ => false,
        }
    }

    /// Returns the first setting by which dev would have a part in the training.
    pub fn needs_dev(&self) -> Option<&'static str> {
        let of_dev = ["early_stopping", "best_checkpoint", DEV_PLATEAU];
        self.given().into_iter().find(|name| of_dev.contains(name))
    }

    /// Lists the settings that are given, and that not every method has a use for.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let given = [
            ("label_texts", !matches!(self.label_texts, None | Some(LabelTexts::None))),
            ("epochs", self.epochs.is_some()),
            ("stop_after", self.stop_after.is_some()),
            ("budget", self.budget.is_some()),
            ("batch_size", self.batch_size.is_some()),
            ("dropout", self.dropout.is_some()),
            ("optimizer", self.optimizer != Optimizer::default()),
            ("schedule", self.schedule.is_some()),
            (DEV_PLATEAU, self.follows_dev()),
            ("gradient_clip", self.gradient_clip != default_gradient_clip()),
            ("accumulation", self.accumulation != default_one()),
            ("max_tokens_per_step", self.max_tokens_per_step.is_some()),
            ("precision", self.precision != Precision::default()),
            ("loss.label_smoothing", self.loss.label_smoothing != 0.0),
            ("loss.class_weights", self.loss.class_weights.is_some()),
            ("loss.r_drop", self.loss.r_drop.is_some()),
            ("loss.mixup", self.loss.mixup.is_some()),
            ("reinitialise", self.reinitialise.is_some()),
            ("regularise", self.regularise.is_some()),
            ("freeze", self.freeze.is_some()),
            ("freeze.encoder", self.freeze == Some(Freeze::Encoder)),
            ("adapters", self.adapters.is_some()),
            ("early_stopping", self.early_stopping.is_some()),
            ("best_checkpoint", self.best_checkpoint.is_some()),
            ("average", self.average.is_some()),
            ("backend", self.backend != Backend::default()),
            ("artifacts", self.artifacts.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

/// The setting by which a schedule follows dev.
pub(super) const DEV_PLATEAU: &str = "schedule.reduce_on_plateau.monitor";

pub(in crate::stages) fn default_gradient_clip() -> Option<f32> {
    Some(1.0)
}
pub(in crate::stages) fn default_one() -> u32 {
    1
}
