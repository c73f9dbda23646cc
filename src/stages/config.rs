//! The one list of all kinds of stage.

use std::any::Any;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapt::Adapt;
use super::augment::Augment;
use super::contract::output::Kind;
use super::contract::stage::Stage;
use super::ensemble::Ensemble;
use super::evaluate::Evaluate;
use super::load::Load;
use super::train::Train;

/// Lists the stages: the documentation for users, the configuration, the kind as the pipeline file
/// names it, and what the stage gives.
macro_rules! stages {
    ($($(#[$about:meta])* $stage:ident = $name:literal gives $output:expr,)*) => {
        /// A stage: exactly one kind with its configuration.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[expect(clippy::large_enum_variant, reason = "a file has few stages")]
        pub enum StageConfig {
            $($(#[$about])* #[serde(rename = $name)] $stage($stage),)*
        }

        impl StageConfig {
            /// Returns the stage behind the kind.
            pub fn stage(&self) -> &dyn Stage {
                match self {
                    $(StageConfig::$stage(stage) => stage,)*
                }
            }

            /// Returns the configuration behind the kind, for a stage that knows its type.
            pub fn as_any(&self) -> &dyn Any {
                match self {
                    $(StageConfig::$stage(stage) => stage,)*
                }
            }

            /// Returns the stage behind the kind for changing it.
            pub fn stage_mut(&mut self) -> &mut dyn Stage {
                match self {
                    $(StageConfig::$stage(stage) => stage,)*
                }
            }

            /// Returns the kind as the pipeline file names it.
            pub fn kind_name(&self) -> &'static str {
                match self {
                    $(StageConfig::$stage(_) => $name,)*
                }
            }

            /// Returns what the stage gives.
            pub fn output(&self) -> Kind {
                match self {
                    $(StageConfig::$stage(_) => $output,)*
                }
            }
        }
    };
}

stages! {
    /// Reads labelled texts and splits them into train, dev and test.
    Load = "load" gives Kind::DATA,
    /// Adds generated texts to train; dev and test pass through untouched.
    Augment = "augment" gives Kind::DATA,
    /// Fine-tunes a pretrained encoder on train.
    Train = "train" gives Kind::MODEL,
    /// Goes on with the pretraining of an encoder on texts alone.
    Adapt = "adapt" gives Kind::ENCODER,
    /// Makes one model of several, by their predictions or by their weights.
    Ensemble = "ensemble" gives Kind::MODEL,
    /// Predicts one split with a trained model and computes every metric.
    Evaluate = "evaluate" gives Kind::SCORES,
}
