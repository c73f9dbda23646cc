//! The errors of loading a data set.

use std::path::PathBuf;

use crate::data::Split;
use crate::data::source::{Place, SourceError};

/// A data set that cannot be used as asked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] SourceError),
    #[error("there is no file `{path}`")]
    #[diagnostic(help(
        "relative paths start at the pipeline file's folder; `pipe` looked for `{}`",
        .full.display()
    ))]
    NoFile { path: String, full: PathBuf },
    #[error("cannot read `{path}`")]
    Unreadable { path: String, source: std::io::Error },
    #[error("there is only one class, `{label}`; expected at least two")]
    #[diagnostic(help("check that `label` names the right column"))]
    OneClass { label: String },
    #[error("`{key}` asks for {asked} rows of class `{label}`; {split} has {found}")]
    #[diagnostic(help("ask for at most {found}, or make the other splits smaller"))]
    TooFewRows {
        label: String,
        found: usize,
        split: Split,
        /// The key of the configuration that asks for the rows.
        key: &'static str,
        asked: usize,
    },
    #[error("{split} has the label `{label}` in row {place}, which train lacks")]
    #[diagnostic(help("{hint}"))]
    UnknownLabel { split: &'static str, label: String, place: Place, hint: String },
    #[error(
        "the {split} split would be empty: {asked} of {rows} rows, with one row of each class \
         kept for train"
    )]
    #[diagnostic(help("raise `split.{split}`, add rows, or leave it out"))]
    EmptySplit { split: Split, asked: f64, rows: usize },
    #[error(
        "`split.{split}` asks for {asked} rows; at most {possible} can be given, since every class \
         keeps one for train"
    )]
    #[diagnostic(help("ask for fewer rows, or add rows"))]
    SplitTooLarge { split: Split, asked: f64, possible: usize },
    #[error("duplicate texts: {count}, such as\n{shown}")]
    #[diagnostic(help(
        "a text that is in both train and test inflates the score; `duplicates: drop` keeps one of \
         each, `duplicates: allow` keeps them all"
    ))]
    Duplicates { count: usize, shown: String },
    #[error("texts without labels that stand in test or dev: {count}, such as\n{shown}")]
    #[diagnostic(help(
        "what has learnt from a text must not be scored on it, even where its label is not known; \
         `duplicates: drop` leaves them out, `duplicates: allow` keeps them"
    ))]
    UnlabelledLeaks { count: usize, shown: String },
    #[error("none of {found} texts without labels is left: all stand in train, dev or test")]
    #[diagnostic(help("name a file with other texts, lower `shots`, or leave `unlabelled` out"))]
    NoneUnlabelled { found: usize },
}
