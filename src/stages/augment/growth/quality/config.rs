//! The configuration of the quality filter.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::report::Report;
use crate::model::Pooling;
use crate::stages::augment::methods::contract::default_encoder;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::External;

/// Keeps the generated texts that are as near to the real texts of their class as those are to each
/// other.
///
/// Texts are compared by their embeddings in a frozen encoder, scaled to length 1. Means and
/// covariance are those of the original train texts alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// How the distance to a class is measured.
    #[serde(default)]
    pub distance: Distance,
    /// The share of real texts that would pass, above 0 and at most 1: a text is kept if its
    /// distance is at most this quantile of the distances of all real train texts to their classes,
    /// each measured as if the text itself were not there (leave-one-out).
    #[serde(default = "default_quantile")]
    pub quantile: f64,
    /// Whether its own class has to be the nearest.
    #[serde(default = "default_nearest_class")]
    pub nearest_class: bool,
    /// The encoder: a folder (relative to this file), `pip:NAME[==VERSION]` or
    /// `hf:ORG/NAME[@REVISION]`.
    #[serde(default = "default_encoder")]
    pub pretrained: String,
    /// How the states of a text's tokens become its embedding.
    #[serde(default)]
    pub pooling: Pooling,
    /// The longest input in tokens; longer texts are truncated.
    #[serde(default = "default_max_length")]
    pub max_length: usize,
}

/// How the distance to a class is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// ‖z − μ‖, from the mean of the class.
    Euclidean,
    /// √((z − μ)ᵀ Σ⁻¹ (z − μ)), with one covariance Σ of all classes around their means, shrunk as
    /// Ledoit and Wolf (2004) have it.
    #[default]
    Mahalanobis,
}

fn default_quantile() -> f64 {
    0.95
}

fn default_nearest_class() -> bool {
    true
}

fn default_max_length() -> usize {
    128
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
                "0.95 lets pass what is no farther out than the farthest twentieth of the real \
                 texts",
            ));
        }
        if self.max_length < 3 {
            let message = format!("expected at least 3 tokens, found {}", self.max_length);
            errors.push(
                CheckError::new("keep.max_length", message)
                    .hint("two of them are the special tokens around a text"),
            );
        }
        errors
    }

    /// Lists what the distances depend on.
    pub fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        Ok(vec![External::model(&self.pretrained, folder, fetch)?])
    }
}
