//! The stage `augment`: adds generated texts to train.
//!
//! A method is one file with its configuration, its definition and its tests, and one line in [`config::MethodConfig`].

pub mod config;
pub mod stage;
pub mod method;
pub mod random_insertion;
pub mod synonyms;
pub mod words;
mod growth;
mod stop_words;

pub use config::{Augment, MethodConfig};
