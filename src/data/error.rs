//! Errors of the tables that `pipe` writes.

use crate::base::digests::ReadError;
use crate::base::limit::LimitError;

/// A table that cannot be written or read back.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TableError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Changed(ReadError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Limit(#[from] LimitError),
    #[error("cannot write `{file}`: {reason}")]
    Unwritable { file: String, reason: String },
    #[error("`{file}` is damaged: {reason}")]
    #[diagnostic(help(
        "take it from a copy, or run its pipeline again; `pipe verify` shows what else is damaged"
    ))]
    Damaged { file: String, reason: String },
    #[error("`{file}` is not a table of results: {reason}")]
    #[diagnostic(help("expected `results.parquet` or `results.csv` as `pipe run` writes them"))]
    NotResults { file: String, reason: String },
}

impl From<ReadError> for TableError {
    fn from(error: ReadError) -> TableError {
        match error {
            ReadError::Io(error) => TableError::Io(error),
            error => TableError::Changed(error),
        }
    }
}
