//! The tokenizer of a pretrained model.

use rayon::prelude::*;
use tokenizers::PostProcessor;

/// A tokenizer as tokenizer.json describes it, with truncation to a length and without padding.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// How many special tokens stand around a single text.
    special: usize,
}

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
    #[diagnostic(help("get the model's folder anew; `transformers` writes the file with `tokenizer.save_pretrained(folder)`"))]
    Unreadable(String),
    #[error("a text cannot be tokenized: {0}")]
    Text(String),
    #[error("texts cannot be cut to {asked} tokens, since {special} of them are the model's special tokens")]
    #[diagnostic(help("raise `max_length`"))]
    TooShort { asked: usize, special: usize },
}

impl Tokenizer {
    /// Reads a tokenizer.json. What it says of padding and truncation is left aside: both are the caller's choice here.
    pub fn from_json(bytes: &[u8]) -> Result<Tokenizer, TextError> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| TextError::Unreadable(error.to_string()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TextError::Unreadable(error.to_string()))?;
        let special = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        Ok(Tokenizer { inner, special })
    }

    /// Tokenizes texts in parallel, each cut to at most `max_length` tokens as `transformers` cuts with `truncation=True`: the text loses
    /// its end, the special tokens stay.
    pub fn encode(&self, texts: &[&str], max_length: usize) -> Result<Vec<TokenizedText>, TextError> {
        if max_length <= self.special {
            return Err(TextError::TooShort { asked: max_length, special: self.special });
        }
        texts.par_iter().map(|text| self.encode_one(text, max_length)).collect()
    }

    fn encode_one(&self, text: &str, max_length: usize) -> Result<TokenizedText, TextError> {
        let failed = |error: tokenizers::Error| TextError::Text(error.to_string());
        let mut encoding = self.inner.encode(text, false).map_err(failed)?;
        let room = max_length - self.special;
        let truncated = encoding.len() > room;
        if truncated {
            encoding.truncate(room, 0, tokenizers::TruncationDirection::Right);
        }
        let encoding = self.inner.post_process(encoding, None, true).map_err(failed)?;
        Ok(TokenizedText { ids: encoding.get_ids().to_vec(), truncated })
    }
}
