//! The contract between a stage and the runner: what a stage gets, gives and refuses.

pub mod error;
pub mod output;
pub mod inputs;
pub mod stage;
