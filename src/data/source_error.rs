//! Errors of a user's table.

/// A user's table that cannot be read into labelled texts. Rows are data rows, from 1, without the
/// header.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SourceError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("`{file}` has the ending {found}; expected `csv`, `tsv`, `jsonl` or `parquet`")]
    #[diagnostic(help("rename or convert the file; its ending selects the format"))]
    UnknownFormat { file: String, found: String },
    #[error("`{file}` cannot be read as {format}: {reason}")]
    Malformed {
        file: String,
        format: &'static str,
        reason: String,
        #[help]
        hint: Option<String>,
    },
    #[error("`{file}` has no column `{column}`; it has {found}")]
    NoColumn {
        file: String,
        column: String,
        found: String,
        #[help]
        hint: String,
    },
    #[error("`{file}` holds {count} generated texts; expected original ones")]
    #[diagnostic(help(
        "load the originals and generate texts in an `augment` stage after the split: no text in \
         test may be generated from a text in train, or the reverse"
    ))]
    Generated { file: String, count: usize },
    #[error("`{file}` has no rows")]
    #[diagnostic(help("a table needs a header and at least one row below it"))]
    NoRows { file: String },
    #[error("`{file}` has no text in row {row}: `{column}` is empty")]
    #[diagnostic(help("remove the row or fill it; {more}"))]
    EmptyText { file: String, row: usize, column: String, more: String },
    #[error("`{file}` has no label in row {row}: `{column}` is empty")]
    #[diagnostic(help("remove the row or label it; {more}"))]
    EmptyLabel { file: String, row: usize, column: String, more: String },
    #[error("`{file}` has {found} in row {row} of `{column}`; expected {expected}")]
    WrongValue { file: String, row: usize, column: String, found: String, expected: &'static str },
}
