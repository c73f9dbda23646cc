//! What should be said about a table.

/// What should be said about a file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    Note(String),
    Warning(String),
}
