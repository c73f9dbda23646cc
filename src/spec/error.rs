//! Everything that is wrong with a pipeline file, shown at once.

/// A place in the pipeline file; both numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub line: usize,
    pub column: usize,
}

/// Everything that is wrong with a pipeline file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the pipeline file has problems")]
pub struct SpecError;
