//! The encoders: one file for each architecture, in the order in which messages list them.

pub mod contract;
#[cfg(test)]
mod contract_tests;
pub mod parts;
pub mod bert;
pub mod distilbert;
pub mod roberta;
pub mod mpnet;
pub mod electra;
pub mod albert;
pub mod modernbert;
pub mod deberta_v2;
pub mod rotary;

pub use contract::{Config, Encoder};

/// All encoders.
pub static ENCODERS: &[&Encoder] = &[
    &bert::BERT,
    &distilbert::DISTILBERT,
    &roberta::ROBERTA,
    &mpnet::MPNET,
    &electra::ELECTRA,
    &albert::ALBERT,
    &modernbert::MODERNBERT,
    &deberta_v2::DEBERTA_V2,
    &rotary::NOMIC_BERT,
    &rotary::GTE,
];
