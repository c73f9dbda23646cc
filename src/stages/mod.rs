//! The kinds of stage that a pipeline is made of, each with its own configuration, documentation
//! and tests.

pub mod stage;
pub mod artifact;
pub mod config;
pub mod load;
pub mod augment;
pub mod train;
pub mod evaluate;
pub mod predict;
pub mod frozen;
pub mod figure;
mod trained_model;
#[cfg(test)]
pub(crate) mod test_ctx;

pub use artifact::{Artifact, Evaluation, Prediction, Split, TrainedModel, TrainingSummary};
pub use config::StageConfig;
pub use stage::{
    CheckError, Ctx, DataFact, External, Fact, Inputs, Kind, Port, Stage, StageError, StageId,
};
pub use trained_model::RECORDS as MODEL_RECORDS;
