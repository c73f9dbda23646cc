//! The stage `train`: fine-tunes a pretrained encoder with a classification head.

pub mod config;
pub mod stage;

pub use config::Train;
