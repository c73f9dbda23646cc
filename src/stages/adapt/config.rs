//! The configuration of `adapt`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{Device, Precision};
use crate::stages::contract::stage::StageId;
use crate::stages::train::config::{Budget, default_gradient_clip, default_one};
use crate::stages::train::freeze::Freeze;
use crate::stages::train::objective::Loss;
use crate::stages::train::objective::adaptation::masked_lm::MaskedTokens;
use crate::stages::train::objective::adaptation::simcse::Simcse;
use crate::stages::train::objective::adaptation::tsdae::Tsdae;
use crate::stages::train::optimizer::Optimizer;
use crate::stages::train::schedule::{Schedule, Warmup};
use crate::stages::train::settings::{Backend, Defaults, Model, Settings, Span};

/// Goes on with the pretraining of an encoder on the texts of a data set, before it learns a task.
///
/// The train texts are read without their labels, and the texts without labels; dev and test are
/// not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adapt {
    /// The stage that provides the data set.
    pub data: StageId,
    /// The encoder that is gone on with.
    pub model: Model,
    /// What the encoder learns from texts alone.
    pub objective: Objective,
    /// The number of passes over the texts. Default: 100 of `masked_lm` and 10 of `simcse`, but no
    /// more than 2000 and 200 steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Pauses after this many epochs. The schedule still spans all `epochs`; the same adaptation
    /// without this key resumes from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<u32>,
    /// The length of the training, instead of `epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The number of texts per batch. Default: 32 of `masked_lm`, 64 of `simcse`, which compares
    /// the texts of a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// The longest input in tokens; longer texts are truncated, and their share is reported.
    /// Default: the `max_seq_length` of a sentence-transformers folder, up to 512; 128 for any
    /// other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// The dropout rate of hidden states and attention probabilities. Default: the model's own
    /// configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f32>,
    /// The optimizer. Default: AdamW at 5e-5 of `masked_lm`, at 3e-5 of `simcse`.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How the learning rate changes. Default: it rises over a tenth of the steps, then falls
    /// linearly to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// The largest global L2 norm of the gradients; larger norms are scaled down. `null` means no
    /// limit.
    #[serde(default = "default_gradient_clip")]
    pub gradient_clip: Option<f32>,
    /// The number of batches whose gradients are averaged into one optimizer step.
    #[serde(default = "default_one")]
    pub accumulation: u32,
    /// The largest number of tokens, padding included, that are computed at a time, as in `train`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_step: Option<usize>,
    /// The precision of matrix products; parameters and all else are in single precision. `tf32`
    /// needs a GPU.
    #[serde(default)]
    pub precision: Precision,
    /// The device of this training, which overrides `--device`: `cpu`, `cuda` or `cuda:N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The parameters that are not trained. Default: all are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
}

/// What an encoder learns from texts alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Tells hidden tokens. For encoders of words, before anything makes sentence vectors of them:
    /// it harms the vectors of a finished sentence encoder.
    MaskedLm(MaskedTokens),
    /// Tells texts apart whatever dropout does to them. For the vectors of sentence encoders.
    Simcse(Simcse),
    /// Tells a whole text by the vector of some of its words. For the vectors of encoders of words
    /// and of sentence encoders, where there are thousands of texts.
    Tsdae(Tsdae),
}

impl Objective {
    /// Returns the name in a pipeline file.
    pub fn name(&self) -> &'static str {
        match self {
            Objective::MaskedLm(_) => "masked_lm",
            Objective::Simcse(_) => "simcse",
            Objective::Tsdae(_) => "tsdae",
        }
    }

    /// Returns what the training takes where the file says nothing.
    pub fn defaults(&self) -> Defaults {
        let (span, batch_size, learning_rate) = match self {
            Objective::MaskedLm(_) => (Span::Within { epochs: 100, steps: 2000 }, 32, 5e-5),
            Objective::Simcse(_) => (Span::Within { epochs: 10, steps: 200 }, 64, 3e-5),
            Objective::Tsdae(_) => (Span::Within { epochs: 10, steps: 2000 }, 8, 3e-5),
        };
        let schedule = Schedule::Linear(Warmup { warmup: 0.1 });
        Defaults { span, batch_size, learning_rate, schedule, label_texts: None }
    }
}

impl Adapt {
    /// Returns the length of the training.
    pub fn span(&self) -> Span {
        match (self.budget, self.epochs) {
            (Some(Budget::Steps(steps)), _) => Span::Steps(steps),
            (None, Some(epochs)) => Span::Epochs(epochs),
            (None, None) => self.objective.defaults().span,
        }
    }

    /// Returns the settings of the training, with the defaults of its objective.
    pub fn settings(&self) -> Settings {
        let defaults = self.objective.defaults();
        Settings {
            model: self.model.clone(),
            label_texts: None,
            span: self.span(),
            stop_after: self.stop_after,
            batch_size: self.batch_size.unwrap_or(defaults.batch_size),
            max_length: self.max_length,
            windows: None,
            dropout: self.dropout,
            optimizer: self.optimizer.clone().at_rate(defaults.learning_rate),
            schedule: self.schedule.clone().unwrap_or(defaults.schedule),
            gradient_clip: self.gradient_clip,
            accumulation: self.accumulation,
            max_tokens_per_step: self.max_tokens_per_step,
            precision: self.precision,
            loss: Loss::default(),
            reinitialise: None,
            regularise: None,
            freeze: self.freeze.clone(),
            adapters: None,
            early_stopping: None,
            best_checkpoint: None,
            average: None,
            backend: Backend::Session,
        }
    }

    /// Puts the defaults of the objective into what the file leaves out.
    pub(super) fn fill(&mut self) {
        let settings = self.settings();
        self.batch_size = Some(settings.batch_size);
        self.schedule = Some(settings.schedule);
        self.optimizer = settings.optimizer;
    }
}
