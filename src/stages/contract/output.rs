//! What stages give each other, and how it lies on the disk.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::error::StageError;
use crate::base::digest::Digest;
use crate::data::{
    AugmentationSummary, AugmentationTable, Curves, DataSet, Prediction, Scored, Seen, TableError,
};
use crate::model::input_layout::InputLayout;
use crate::model::sentences::Preparation;
use crate::model::{HeadForm, Pretrained};

/// The output of a stage.
pub trait Output: Any + fmt::Debug + Send + Sync {
    /// Returns what kind of output this is.
    fn kind(&self) -> Kind;

    /// Writes the output's files into an existing, empty folder.
    fn write(&self, folder: &Path) -> Result<(), StageError>;
}

impl dyn Output {
    /// Returns the output as what it is. Whoever asks knows it from the checked plan or from the
    /// piece that gave it, so another type is a mistake in the caller's own code.
    pub fn as_a<T: Output>(&self) -> &T {
        match (self as &dyn Any).downcast_ref() {
            Some(output) => output,
            None => unreachable!("{self:?} is another output than its reader expects"),
        }
    }
}

/// A kind of output, and all that is asked of one that lies in a folder.
///
/// Each kind is a constant beside its output: [`Kind::DATA`], [`Kind::MODEL`], [`Kind::SCORES`].
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The name in messages.
    pub name: &'static str,
    /// Reads an output that [`Output::write`] wrote.
    pub read: fn(&Path) -> Result<Arc<dyn Output>, StageError>,
    /// The files that tell of the work, which stay when the others are removed to save space;
    /// `None` where an output is always kept whole.
    pub records: Option<&'static [&'static str]>,
    /// Reads the scores for a run's tables.
    pub scores: Option<ReadScores>,
    /// Reads the learning curves for a run's table.
    pub curves: Option<ReadTable<Curves>>,
    /// Reads the outcomes of augmentation for a run's table.
    pub augmentation: Option<ReadTable<AugmentationTable>>,
}

/// Reads a table from the folder of an output.
pub type ReadTable<T> = fn(&Path) -> Result<T, TableError>;

/// How the scores of an output are read.
#[derive(Clone, Copy, Debug)]
pub struct ReadScores {
    /// With the predictions.
    pub whole: fn(&Path) -> Result<Evaluation, StageError>,
    /// Without the predictions.
    pub summary: fn(&Path) -> Result<Summary, StageError>,
}

impl Kind {
    /// Returns a kind that is kept whole and adds nothing to the tables of a run.
    pub const fn new(
        name: &'static str,
        read: fn(&Path) -> Result<Arc<dyn Output>, StageError>,
    ) -> Kind {
        Kind { name, read, records: None, scores: None, curves: None, augmentation: None }
    }

    /// Says whether this is one of the results for which a pipeline is run.
    pub const fn has_scores(self) -> bool {
        self.scores.is_some()
    }

    /// Says whether files of an output may be removed to save space, once nothing reads them.
    pub const fn may_be_stripped(self) -> bool {
        self.records.is_some()
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Kind {
    /// A data set with splits.
    pub const DATA: Kind = Kind {
        augmentation: Some(AugmentationTable::read),
        ..Kind::new("a data set", |folder| Ok(Arc::new(DataSet::read(folder)?)))
    };
}

impl Output for DataSet {
    fn kind(&self) -> Kind {
        Kind::DATA
    }

    fn write(&self, folder: &Path) -> Result<(), StageError> {
        Ok(DataSet::write(self, folder)?)
    }
}

/// A fine-tuned model.
///
/// On the disk: the files of its network, `training.json` (the other fields here),
/// `curves.parquet` and `seen_texts.parquet`, perhaps the folder `adapter`.
#[derive(Debug)]
pub struct TrainedModel {
    pub network: Network,
    /// The class names in the order of the logits.
    pub labels: Vec<String>,
    /// The longest input in tokens; longer texts are truncated.
    pub max_length: usize,
    /// What is done to texts before they are tokenized.
    pub preparation: Preparation,
    /// The identity of the encoder under the head, where training has left it as it was.
    pub frozen: Option<Digest>,
    /// What training took.
    pub summary: TrainingSummary,
    /// Loss, learning rate and dev metrics by step.
    pub curves: Curves,
    /// The texts that it was trained on, here or before.
    pub seen: Seen,
    /// The files of the adapter that is merged into the network, by name; mostly none.
    pub adapter: BTreeMap<String, Vec<u8>>,
}

/// What a trained model computes its logits with.
#[derive(Debug)]
pub enum Network {
    /// An encoder of ours. On the disk: a Hugging Face folder (config.json with `id2label`,
    /// model.safetensors, tokenizer files), and `model.onnx` for inference, whose weights are those
    /// in model.safetensors.
    Encoder {
        /// The weights with their configuration and tokenizer.
        pretrained: Box<Pretrained>,
        /// The form of the classification head.
        form: HeadForm,
    },
    /// Any network, trained from artifacts. On the disk: `model.onnx` with its weights, the
    /// tokenizer files and config.json.
    Onnx(OnnxModel),
    /// Models whose log-probabilities are averaged, and what each counts, which adds up to 1. On
    /// the disk: the folder `members` with a folder for each, from 0.
    Ensemble(Vec<(Arc<TrainedModel>, f64)>),
}

/// A model for inference that holds its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxModel {
    pub model: Vec<u8>,
    /// The name of the output with the logits.
    pub output: String,
    /// How its inputs are laid out.
    pub layout: InputLayout,
    /// The files of the tokenizer and config.json, by name.
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
    /// Where the weights at the beginning were from: what was loaded, kept, drawn and ignored.
    #[serde(default)]
    pub initial_weights: String,
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
    /// How the model has learnt: `fine_tune`, `probe` and so on; empty in older records.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// What the method has chosen by itself, and by which figures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub chosen: String,
    /// The texts that went through the encoder, each as often as it did; `None` where that is not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encodings: Option<u64>,
    /// The most memory in bytes that the process had while the model was trained, other stages at
    /// the same time included; `None` where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
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
    pub split: Scored,
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

/// The content of `evaluation.json`: an evaluation without its predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub split: Scored,
    pub labels: Vec<String>,
    /// The number of texts that were predicted.
    pub n: usize,
    pub metrics: IndexMap<String, f64>,
    /// Rows: true class; columns: predicted class.
    pub confusion: Vec<Vec<u64>>,
    pub training: TrainingSummary,
}
