//! A labelled data set with its three splits.

use std::path::Path;

/// A labelled data set with its three splits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    /// The class names; a label is an index into them. Sorted, so that the order never depends on the rows.
    pub labels: Vec<String>,
    pub train: Vec<Example>,
    /// Empty where there is none.
    pub dev: Vec<Example>,
    /// Empty where there is none.
    pub test: Vec<Example>,
}

/// A labelled text.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Unique in the data set and the same in every run: the source's row for an original, derived from the parents for a generated one.
    pub id: String,
    pub text: String,
    /// An index into [`DataSet::labels`].
    pub label: usize,
    /// The ids of the examples that this one was made from; empty for an original.
    pub parents: Vec<String>,
    /// The augmentation method that made it, with its settings as JSON; `None` for an original.
    pub method: Option<String>,
}

/// A table that cannot be read or written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TableError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl DataSet {
    /// Writes `data.parquet` and `labels.json` into `folder`.
    pub fn write(&self, _folder: &Path) -> Result<(), TableError> {
        unimplemented!()
    }

    /// Reads what [`DataSet::write`] wrote.
    pub fn read(_folder: &Path) -> Result<DataSet, TableError> {
        unimplemented!()
    }
}
