//! The tokenizer of a pretrained model.

/// A tokenizer as tokenizer.json describes it, with truncation to a length and without padding.
#[derive(Debug)]
pub struct Tokenizer {}

/// The token ids of one text, special tokens included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedText {
    pub ids: Vec<u32>,
    /// Whether the text was longer than the length asked for.
    pub truncated: bool,
}

/// A tokenizer that cannot be read, or a text that it cannot read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TextError {
    #[error("tokenizer.json cannot be read: {0}")]
    Unreadable(String),
}

impl Tokenizer {
    /// Reads a tokenizer.json.
    pub fn from_json(_bytes: &[u8]) -> Result<Tokenizer, TextError> {
        unimplemented!()
    }

    /// Tokenizes texts in parallel, each cut to at most `max_length` tokens.
    pub fn encode(&self, _texts: &[&str], _max_length: usize) -> Result<Vec<TokenizedText>, TextError> {
        unimplemented!()
    }
}
