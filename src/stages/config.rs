//! The one enumeration of all kinds of stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::augment::Augment;
use super::contract::stage::Stage;
use super::evaluate::Evaluate;
use super::load::Load;
use super::train::Train;

/// A stage: exactly one kind with its configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageConfig {
    /// Reads labelled texts and splits them into train, dev and test.
    Load(Load),
    /// Adds generated texts to train; dev and test pass through untouched.
    Augment(Augment),
    /// Fine-tunes a pretrained encoder on train.
    Train(Train),
    /// Predicts one split with a trained model and computes every metric.
    Evaluate(Evaluate),
}

impl StageConfig {
    /// Returns the stage behind the kind.
    pub fn stage(&self) -> &dyn Stage {
        match self {
            StageConfig::Load(stage) => stage,
            StageConfig::Augment(stage) => stage,
            StageConfig::Train(stage) => stage,
            StageConfig::Evaluate(stage) => stage,
        }
    }

    /// Returns the kind as the pipeline file names it.
    pub fn kind_name(&self) -> &'static str {
        match self {
            StageConfig::Load(_) => "load",
            StageConfig::Augment(_) => "augment",
            StageConfig::Train(_) => "train",
            StageConfig::Evaluate(_) => "evaluate",
        }
    }
}
