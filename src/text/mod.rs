//! From texts to token ids and batches.

pub mod tokenizer;
pub mod batch;

pub use tokenizer::{TextError, TokenizedText, Tokenizer};
