//! The stage `evaluate`: predicts one split with a trained model.

pub mod stage;
pub mod evaluation;

pub use evaluation::Summary;
pub use stage::{Evaluate, EvaluateError};
