//! The stage `adapt`: goes on with the pretraining of an encoder on texts alone.

pub mod error;
pub mod adapted;
pub mod config;
pub mod check;
pub mod work;
pub mod stage;

pub use config::Adapt;
