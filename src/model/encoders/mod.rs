//! The encoders: one file for each architecture, in the order in which messages list them.

pub mod contract;
#[cfg(test)]
mod contract_tests;
pub mod builder;
pub mod pooling;
pub mod fields;
pub mod bert;
pub mod distilbert;
pub mod roberta;

pub use contract::{Config, Encoder};

/// All encoders.
pub static ENCODERS: &[&Encoder] = &[&bert::BERT, &distilbert::DISTILBERT, &roberta::ROBERTA];
