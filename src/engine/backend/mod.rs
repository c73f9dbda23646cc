//! What runs a graph: tensors and where they lie, inference, and the two backends of training.

pub mod error;
pub mod place;
pub mod binding;
pub mod inference;
pub mod gradients;
pub mod trainer;
pub mod session;
pub mod training_api;
