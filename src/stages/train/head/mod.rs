//! Heads that are fitted to the vectors of texts.

pub mod settings;
pub mod fit;

pub use fit::{Head, Sample};
pub use settings::{Calibration, ClassPrior, Classifier, EstimateFrom, HeadSettings};
