//! What can be wrong with a tokenizer and its texts.

/// A tokenizer that cannot be read, or a text that cannot be tokenized.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TextError {
    #[error("`tokenizer.json` cannot be read: {0}")]
    #[diagnostic(help(
        "the file may be damaged, or written by a newer `tokenizers`; download the model again"
    ))]
    Unreadable(String),

    #[error("`{file}` is not a JSON object: {detail}")]
    #[diagnostic(help("the file may be damaged; download the model again"))]
    Settings { file: String, detail: String },

    #[error("`{file}` has `{key}: {found}`; expected {expected}")]
    #[diagnostic(help("correct the file, or remove the key; tokenizer.json holds without it"))]
    Setting { file: String, key: String, found: String, expected: &'static str },

    #[error(
        "`max_length: {max_length}` leaves no room for text: the tokenizer adds {added} special \
         tokens"
    )]
    #[diagnostic(help("set `max_length` to {} or more", added + 1))]
    TooShort { max_length: usize, added: usize },

    #[error("the text `{text}` has no tokens")]
    #[diagnostic(help("the tokenizer drops all of it; remove the row from the data"))]
    NoToken { text: String },

    #[error("the text `{text}` cannot be tokenized: {detail}")]
    Text { text: String, detail: String },
}
