//! Trained models in use: predictions for texts that nobody has labelled.

pub mod standalone;
pub mod model;
pub mod classifier;
pub mod answers;
pub mod table;

pub use classifier::{Classifier, ClassifierError};
