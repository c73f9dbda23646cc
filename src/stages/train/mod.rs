//! The stage `train`: makes a classifier of a pretrained encoder.

pub mod error;
pub mod problems;
pub mod objective;
pub mod optimizer;
pub mod plateau;
pub mod schedule;
pub mod stopping;
pub mod freeze;
pub mod adapters;
pub mod average;
pub mod regularise;
pub mod settings;
pub mod label_texts;
pub mod head;
pub mod method;
pub mod found;
pub mod opened;
pub mod vectors;
pub mod certainty;
pub mod stand_in;
pub mod folds;
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
