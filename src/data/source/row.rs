//! The rows of a table.

use std::fmt;

/// A labelled text from a user's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    pub place: Place,
    pub text: String,
    /// The label in NFC without surrounding whitespace, else as written: `01` stays `01`. Empty
    /// where no labels are wanted.
    pub label: String,
}

/// Where a row stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The data row, from 1, without the header and blank lines.
    pub row: usize,
    /// The line of the file in which it begins, from 1; `None` where there are no lines.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) if line != self.row => write!(f, "{} (line {line})", self.row),
            _ => write!(f, "{}", self.row),
        }
    }
}

/// The text and the label of a row as they were read; `None` where a row has no such field, or it
/// is not wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) line: Option<usize>,
    pub(super) cells: [Option<String>; 2],
}
