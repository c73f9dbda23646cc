//! What can be wrong with a tokenizer and its texts.

/// How a folder gets a tokenizer.json.
const CONVERT: &str = "write `tokenizer.json` once: `python3 -c \"from transformers import \
                       AutoTokenizer; AutoTokenizer.from_pretrained('FOLDER')\
                       .save_pretrained('FOLDER')\"`";

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

    #[error("`{file}` cannot be read as part of a tokenizer: {detail}")]
    #[diagnostic(help("the file may be damaged, so download the model again; or {CONVERT}"))]
    File { file: String, detail: String },

    #[error("the tokenizer has the class `{class}`, which is read from `tokenizer.json` alone")]
    #[diagnostic(help("{CONVERT}, if `transformers` has a fast form of that class"))]
    Class { class: String },

    #[error("the tokenizer `{class}` is made of {expected}; the folder has {found}")]
    #[diagnostic(help("copy the missing file into the folder, or {CONVERT}"))]
    NoFiles { class: &'static str, expected: &'static str, found: String },

    #[error("the tokenizer has `{found}`, but no `{missing}`, which belongs to it")]
    #[diagnostic(help("copy the missing file into the folder, or {CONVERT}"))]
    NoPair { found: &'static str, missing: &'static str },

    #[error("the files of the tokenizer do not fit together: {0}")]
    #[diagnostic(help("a file may be damaged, so download the model again; or {CONVERT}"))]
    Inconsistent(String),

    #[error("`{file}` has `{key}: {found}`; expected {expected}")]
    #[diagnostic(help("correct the file, or remove the key; tokenizer.json holds without it"))]
    Setting { file: String, key: String, found: String, expected: &'static str },

    #[error(
        "`max_length: {max_length}` leaves no room for text: the tokenizer adds {added} special \
         tokens"
    )]
    #[diagnostic(help("set `max_length` to {} or more", added + 1))]
    TooShort { max_length: usize, added: usize },

    #[error(
        "windows with `stride: {stride}` do not move: they have room for {room} tokens beside the \
         special ones"
    )]
    #[diagnostic(help("set `windows.stride` below {room}, or raise `max_length`"))]
    Stride { stride: usize, room: usize },

    #[error("the text `{text}` has no tokens")]
    #[diagnostic(help("the tokenizer drops all of it; remove the row from the data"))]
    NoToken { text: String },

    #[error(
        "the text `{text}` has the token `{token}` with the number {id}, but the model's word \
         table has {rows} rows"
    )]
    #[diagnostic(help(
        "the token was added without a row for it: save the model after \
         `model.resize_token_embeddings(len(tokenizer))`, or remove the token from the tokenizer's \
         files or from the text"
    ))]
    NoRow { text: String, token: String, id: u32, rows: usize },

    #[error("the text `{text}` cannot be tokenized: {detail}")]
    Text { text: String, detail: String },
}
