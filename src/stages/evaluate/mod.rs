//! The stage `evaluate`: predicts one split with a trained model.

pub mod stage;
pub mod evaluation;

pub use stage::{Evaluate, EvaluateError};
