//! Pretrained encoders: where they come from, their folders, and their layers as engine graphs.

pub mod pretrained;
#[cfg(test)]
mod pretrained_tests;
pub mod config;
pub mod weights;
pub mod reference;
pub mod resolve;
pub mod package;
pub mod hub;
pub mod error;

pub use config::{Activation, Architecture, Config};
pub use error::ModelError;
pub use pretrained::{Pretrained, Weights};
