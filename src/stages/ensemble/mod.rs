//! The stage `ensemble`: makes one model of several, by their predictions or by their weights.

pub mod config;
pub mod error;
pub mod members;
pub mod soup;
pub mod stage;

pub use config::Ensemble;
pub use error::EnsembleError;
