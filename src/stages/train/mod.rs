//! The stage `train`: fine-tunes a pretrained encoder with a classification head.

pub mod error;
pub mod problems;
pub mod objective;
pub mod optimizer;
pub mod plateau;
pub mod schedule;
pub mod stopping;
pub mod freeze;
pub mod adapters;
pub mod config;
pub mod check;
pub mod r#loop;
pub mod backend;
pub mod encoder;
pub mod export;
pub mod artifacts;
pub mod tokens;
pub mod trained_model;
pub mod stage;

pub use config::Train;
