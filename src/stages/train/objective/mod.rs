//! What a training learns: its inputs, its loss and its dev metrics.

pub mod contract;
pub mod loss;
pub mod classification;

pub use classification::{Classification, Form};
pub use contract::{DevMetrics, MicroBatch, Objective};
pub use loss::{ClassWeights, Loss};
