//! The kinds of stage that a pipeline is made of, each with its own configuration, documentation
//! and tests.

pub mod contract;
pub mod config;
pub mod load;
pub mod augment;
pub mod adapt;
pub mod train;
pub mod ensemble;
pub mod evaluate;
pub mod inference;
pub mod about;
pub mod figure;
pub mod leaks;
#[cfg(test)]
pub(crate) mod test_ctx;

pub use config::StageConfig;
pub use contract::error::{CheckError, StageError, hidden};
pub use contract::inputs::Inputs;
pub use contract::output::{
    Evaluation, Kind, Output, ReadScores, Summary, TrainedModel, TrainingSummary,
};
pub use contract::stage::{
    Ctx, DataFact, Epochs, External, Fact, Port, RuntimeNeeds, Stage, StageId,
};
pub use figure::Figures;
