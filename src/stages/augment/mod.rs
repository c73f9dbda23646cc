//! The stage `augment`: adds generated texts to train.
//!
//! A method is one file in [`methods`] with its configuration, its definition and its tests, and
//! one line in [`config::MethodConfig`].

pub mod config;
pub mod stage;
pub mod methods;
pub mod language;
pub mod synonyms;
pub mod growth;
pub mod error;

pub use config::{Augment, MethodConfig};
