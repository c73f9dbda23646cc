//! Contrastive learning: vectors of texts of one class come together, those of others apart.

pub mod batches;
pub mod loss;
pub mod objective;
pub mod distillation;
pub mod pairs;
#[cfg(test)]
mod tests;

pub use distillation::Distillation;
pub use loss::{ContrastiveLoss, Setfit, Supcon};
pub use objective::Contrastive;
