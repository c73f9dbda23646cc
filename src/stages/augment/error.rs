//! The errors of augmentation.

use std::path::{Path, PathBuf};

use crate::base::memo;
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::{External, resolve};

/// Data, files or programs that augmentation cannot work with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum AugmentError {
    #[error("class `{label}` has no text in train; expected at least one")]
    #[diagnostic(help("add texts of this class, or remove the label from the data"))]
    EmptyClass { label: String },

    #[error("there is no {what} `{path}`")]
    #[diagnostic(help(
        "relative paths start at the pipeline file's folder; `pipe` looked for `{}`",
        .full.display()
    ))]
    NoFile { what: &'static str, path: String, full: PathBuf },

    #[error("cannot read the {what} `{path}`")]
    Unreadable { what: &'static str, path: String, source: std::io::Error },

    #[error("the {what} `{path}` is not text in {encoding}: line {line}")]
    #[diagnostic(help("save it in that encoding"))]
    Encoding { what: &'static str, path: String, encoding: String, line: usize },

    #[error("`{path}`, line {line}: {found}; expected {expected}")]
    #[diagnostic(help("{help}"))]
    Malformed {
        path: String,
        line: usize,
        found: String,
        expected: &'static str,
        help: &'static str,
    },

    #[error("`{pretrained}` cannot fill masks: {reason}")]
    #[diagnostic(help(
        "give a BERT, DistilBERT or RoBERTa folder with its tokenizer.json at \
         `masked_lm.pretrained`"
    ))]
    NoMasks { pretrained: String, reason: String },

    #[error("`{program}` printed an invalid answer on line {line}: {reason}\n{shown}")]
    #[diagnostic(help(
        "expected one JSON object per line: {{\"id\": \"…\", \"copy\": 1, \"text\": \"…\"}}"
    ))]
    Answer { program: String, line: usize, reason: String, shown: String },

    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Returns the digest of a file that a setting names.
pub(super) fn file_digest(
    folder: &Path,
    name: &str,
    what: &'static str,
) -> Result<External, StageError> {
    let full = resolve(folder, name);
    let digest = memo::digest_of(&full).map_err(|error| unreadable(error, full, name, what))?;
    Ok(External { name: name.to_owned(), digest })
}

/// Reads a file that a setting names.
pub(super) fn read_bytes(
    folder: &Path,
    name: &str,
    what: &'static str,
) -> Result<Vec<u8>, AugmentError> {
    let full = resolve(folder, name);
    fs_err::read(&full).map_err(|error| unreadable(error, full, name, what))
}

/// Reads a file of UTF-8 text that a setting names.
pub(super) fn read_text(
    folder: &Path,
    name: &str,
    what: &'static str,
) -> Result<String, AugmentError> {
    let bytes = read_bytes(folder, name, what)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        AugmentError::Encoding { what, path: name.to_owned(), encoding: "UTF-8".to_owned(), line }
    })
}

fn unreadable(
    error: std::io::Error,
    full: PathBuf,
    name: &str,
    what: &'static str,
) -> AugmentError {
    match error.kind() {
        std::io::ErrorKind::NotFound => AugmentError::NoFile { what, path: name.to_owned(), full },
        _ => AugmentError::Unreadable { what, path: name.to_owned(), source: error },
    }
}
