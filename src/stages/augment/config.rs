//! The configuration of `augment`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method::Method;
use super::random_insertion::RandomInsertion;
use crate::stages::stage::StageId;

/// Adds generated texts to train; dev and test pass through untouched.
///
/// A generated text that dev, test or train already has is dropped. The originals stay, and every method works on them, not on
/// what another method made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// The stage that gives the data set.
    pub data: StageId,
    /// The methods; each adds its copies of the original texts.
    pub methods: Vec<MethodConfig>,
}

/// A method of augmentation with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MethodConfig {
    /// Inserts synonyms of random words at random places (EDA's random insertion).
    RandomInsertion(RandomInsertion),
}

impl MethodConfig {
    /// Returns the method behind the name.
    pub fn method(&self) -> &dyn Method {
        match self {
            MethodConfig::RandomInsertion(method) => method,
        }
    }

    /// Returns the name as the pipeline file has it.
    pub fn name(&self) -> &'static str {
        match self {
            MethodConfig::RandomInsertion(_) => "random_insertion",
        }
    }
}
