//! From texts to token ids and batches.

pub mod error;
pub mod tokenizer;
mod tokenizer_config;
pub mod files;
pub mod batch;

pub use error::TextError;
pub use tokenizer::{TokenizedText, Tokenizer};
