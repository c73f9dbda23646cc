//! The stage `augment`: adds generated texts to train.
//!
//! A method is one file in [`methods`] with its configuration, its definition and its tests, and
//! one line in [`config::MethodConfig`].

pub mod config;
pub mod stage;
pub mod method;
pub mod methods;
pub mod synonyms;
pub mod stop_words;
pub mod words;
pub mod quality;
pub mod error;
mod growth;
mod class_texts;
mod verbatim;
mod hidden_markov;
mod weighted;
mod program;

pub use config::{Augment, MethodConfig};
