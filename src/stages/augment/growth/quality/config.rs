//! The configuration of the quality filter.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::report::Report;
use crate::model::{Head, Prompt};
use crate::stages::augment::methods::contract::default_encoder;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::External;
use crate::text::Windows;

/// Keeps generated texts that are as near to the real texts of their class as these are to each
/// other.
///
/// Texts are compared by their embeddings in a frozen encoder, scaled to length 1. Means and
/// covariance come from the original train texts alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The measure of the distance to a class.
    #[serde(default)]
    pub distance: Distance,
    /// The share of real texts that would pass, above 0 and at most 1. A text is kept if its
    /// distance is at most this quantile of the distances of real train texts to their classes.
    /// Each of these is measured without the text itself (leave-one-out).
    #[serde(default = "default_quantile")]
    pub quantile: f64,
    /// Whether the text's own class must be the nearest.
    #[serde(default = "default_nearest_class")]
    pub nearest_class: bool,
    /// The encoder: a folder (relative to this file), `pip:NAME[==VERSION]` or
    /// `hf:ORG/NAME[@REVISION]`.
    #[serde(default = "default_encoder")]
    pub pretrained: String,
    /// How the token states of a text become its embedding.
    #[serde(default)]
    pub pooling: Head,
    /// What stands before each text.
    #[serde(default, skip_serializing_if = "Prompt::is_auto")]
    pub prompt: Prompt,
    /// The longest input in tokens; longer texts are truncated. Default: the
    /// `max_seq_length` of a sentence-transformers folder, up to 512; 128 for any other.
    #[serde(default)]
    pub max_length: Option<usize>,
    /// Reads all of longer texts, in windows of `max_length` tokens whose embeddings are combined.
    /// Default: they are truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
}

/// The measure of the distance to a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// ‖z − μ‖, from the mean of the class.
    Euclidean,
    /// √((z − μ)ᵀ Σ⁻¹ (z − μ)), with one covariance Σ of all classes around their means. It is
    /// shrunk by the method of Ledoit and Wolf (2004).
    #[default]
    Mahalanobis,
}

fn default_quantile() -> f64 {
    0.95
}

fn default_nearest_class() -> bool {
    true
}

impl Keep {
    /// Checks the settings.
    pub fn check(&self) -> Vec<CheckError> {
        let mut errors = Vec::new();
        if !(self.quantile > 0.0 && self.quantile <= 1.0) {
            let message =
                format!("`quantile` is {}; expected a share above 0 and at most 1", self.quantile);
            let error = CheckError::new("keep.quantile", message);
            errors.push(error.hint(
                "0.95 keeps texts no farther from their class than 95 % of the real texts are",
            ));
        }
        if let Some(length) = self.max_length.filter(|length| *length < 3) {
            let message = format!("expected at least 3 tokens, found {length}");
            errors.push(
                CheckError::new("keep.max_length", message)
                    .hint("two of them are the special tokens around a text"),
            );
        }
        if let (Some(windows), Some(length)) = (self.windows, self.max_length) {
            errors.extend(CheckError::of_windows("keep.windows.stride", windows, length));
        }
        errors.extend(CheckError::of_reference("keep.pretrained", &self.pretrained));
        errors
    }

    /// Lists the models that the distances depend on.
    pub fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        Ok(vec![External::model(&self.pretrained, folder, fetch)?])
    }
}
