//! What a training learns: its inputs, its loss and its dev metrics.

pub mod dev_metric;
pub mod contract;
pub mod r_drop;
pub mod mixup;
pub mod loss;
pub mod classification;
#[cfg(test)]
mod classification_tests;
pub mod contrastive;
pub mod adaptation;

pub use classification::{Classification, Form};
pub use contract::{MicroBatch, Objective};
pub use contrastive::{Contrastive, ContrastiveLoss, Distillation};
pub use dev_metric::{DevMetric, DevMetrics};
pub use loss::{ClassWeights, Loss};
pub use mixup::{At, Mixup};
pub use r_drop::RDrop;
