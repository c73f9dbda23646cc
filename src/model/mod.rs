//! Pretrained encoders: where they come from, their folders, and their layers as engine graphs.

pub mod pretrained;
pub mod resolve;

pub use pretrained::{Architecture, Config, ModelError, Pretrained, Weights};
