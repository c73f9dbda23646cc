//! From texts to token ids and batches.

pub mod error;
pub mod tokenized;
pub mod tokenizer;
mod tokenizer_config;
pub mod files;
pub mod windows;
pub mod batch;

pub use error::TextError;
pub use tokenized::TokenizedText;
pub use tokenizer::{Tokenizer, Words};
pub use windows::{Combine, Windows};
