//! The result of one `evaluate` stage.

use indexmap::IndexMap;
use serde_json::Value;

use crate::data::AugmentationSummary;

/// The result of one `evaluate` stage for one trial and seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultRow {
    /// The run's id.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The id of the `evaluate` stage.
    pub stage: String,
    /// The trial of a sweep; `None` without a sweep.
    pub trial: Option<u64>,
    pub seed: u64,
    /// `train`, `dev` or `test`.
    pub split: String,
    /// The number of predicted texts.
    pub n: u64,
    /// The pipeline's `params` by name: numbers, booleans or strings.
    pub params: IndexMap<String, Value>,
    /// Every metric by name; metrics that are undefined for these predictions are absent.
    pub metrics: IndexMap<String, f64>,
    /// Optimizer steps of the model's training.
    pub steps: u64,
    /// Seconds of the model's training.
    pub seconds: f64,
    /// How the model has learnt, such as `fine_tune`; empty in the tables of older versions.
    pub method: String,
    /// What the method has chosen by itself, and by which figures; empty where it chose nothing.
    pub chosen: String,
    /// The texts that went through the encoder in training, each as often as it did; `None` where
    /// that is not known.
    pub encodings: Option<u64>,
    /// The most memory in bytes that the process had during the training; `None` where that is not
    /// known.
    pub peak_memory: Option<u64>,
    /// The training backend: `session` or `training_api`.
    pub backend: String,
    /// The reason for this backend; empty in the tables of older versions.
    pub backend_reason: String,
    /// Where the model's weights at the beginning were from; empty in the tables of older versions.
    pub initial_weights: String,
    /// The device, such as `cpu` or `cuda:0`.
    pub device: String,
    /// The largest number of parts into which a training batch was split; `None` if none was split.
    pub parts: Option<u64>,
    /// Figures about generated texts; `None` if the model was trained on none.
    pub augmentation: Option<AugmentationSummary>,
    /// The epoch at which a search stopped the training, to which the metrics belong; `None` if it
    /// was trained to the end.
    pub stopped_epoch: Option<u64>,
    /// The error, if there are no metrics; `None` on success.
    pub error: Option<String>,
}
