//! The stage `train`: fine-tunes a pretrained encoder with a classification head.

pub mod config;
pub mod check;
pub mod schedule;
pub mod plateau;
pub mod targets;
pub mod watch;
pub mod checkpoint;
pub mod backend;
mod fit;
mod encoder;
pub mod stage;

pub use config::Train;
