//! Errors of a user's table.

use super::row::Place;
use crate::base::limit::LimitError;

/// A user's table that cannot be read into labelled texts. Rows are data rows, from 1, without the
/// header.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SourceError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Limit(#[from] LimitError),
    #[error(
        "`{file}` has the ending {found}; expected `csv`, `tsv`, `txt`, `jsonl` or `parquet`, each \
         also with `.gz` or `.zst` behind it"
    )]
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
    #[error("`{file}` can be read in two ways: {reason}")]
    #[diagnostic(help(
        "set `quoting: double` if quotes enclose fields, as Excel and pandas write them, or \
         `quoting: none` if a quote is a letter like any other, as in GLUE"
    ))]
    TwoReadings { file: String, reason: String },
    #[error("`{file}` has no column `{column}`; it has {found}")]
    NoColumn {
        file: String,
        column: String,
        found: String,
        #[help]
        hint: String,
    },
    #[error("`{file}` has duplicate columns with the name `{column}`: {}", listed(places))]
    #[diagnostic(help("rename all but one of them, so that it is known which one is meant"))]
    TwoColumns { file: String, column: String, places: Vec<usize> },
    #[error("`{file}` has `{column}` twice in line {line}")]
    #[diagnostic(help("keep one of the two, so that it is known which one is meant"))]
    TwoKeys { file: String, column: String, line: usize },
    #[error("`{file}` holds {count} generated texts; expected original ones")]
    #[diagnostic(help(
        "load the originals and generate texts in an `augment` stage after the split: no text in \
         test may be generated from a text in train, or the reverse"
    ))]
    Generated { file: String, count: usize },
    #[error("`{file}` has no rows")]
    #[diagnostic(help("a table needs a header and at least one row below it"))]
    NoRows { file: String },
    #[error("`{file}` has no row with a text: `{column}` is empty in all of them")]
    #[diagnostic(help("check that the key `text` names the right column"))]
    NoTexts { file: String, column: String },
    #[error("`{file}` has no text in {places}: `{column}` is empty")]
    #[diagnostic(help(
        "fill in what is missing, or set `empty: drop` to leave rows without a text out"
    ))]
    EmptyText { file: String, places: String, column: String },
    #[error("`{file}` has no label in {places}: `{column}` is empty")]
    #[diagnostic(help("label these rows, or take them out of the table"))]
    EmptyLabel { file: String, places: String, column: String },
    #[error("`{file}` has {found} in row {place} of `{column}`; expected {expected}")]
    #[diagnostic(help("write one text and one label in each row, or name another column"))]
    WrongValue {
        file: String,
        place: Place,
        column: String,
        /// With its article: `a list`.
        found: String,
        expected: &'static str,
    },
    #[error(
        "`{file}` has the class {number} in row {place} of `{column}`, and names for 0 to {last}"
    )]
    #[diagnostic(help("`datasets` writes -1 where there is no label; filter such rows"))]
    NoClass { file: String, place: Place, column: String, number: String, last: usize },
    #[error("`{file}` has a column `{column}` of the type {found}; expected {expected}")]
    #[diagnostic(help("convert the column to text, or name another one"))]
    WrongType { file: String, column: String, found: String, expected: &'static str },
}

/// Returns rows as a message shows them: the first few of many.
pub(super) fn shown(places: &[Place]) -> String {
    const SHOWN: usize = 5;
    match places {
        [place] => format!("row {place}"),
        places => {
            let some: Vec<String> = places.iter().take(SHOWN).map(Place::to_string).collect();
            let more = match places.len() {
                count if count > SHOWN => format!(", … ({count} in all)"),
                _ => String::new(),
            };
            format!("rows {}{more}", some.join(", "))
        }
    }
}

/// Returns the positions of columns, from 1, as a message shows them.
fn listed(places: &[usize]) -> String {
    let places: Vec<String> = places.iter().map(|place| format!("column {place}")).collect();
    places.join(" and ")
}
