//! The input of a comparison: sources and request.

use crate::data::predictions::Block;
use crate::results::row::ResultRow;

/// A table of results with the files beside it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its name in messages.
    pub name: String,
    pub rows: Vec<ResultRow>,
    /// Predictions of its rows; rows without predictions are not compared by texts.
    pub predictions: Vec<Block>,
    /// The fingerprint of its pipeline without the seed. Rows of several runs are one recipe only
    /// if it is the same. `None` if it is unknown.
    pub fingerprint: Option<String>,
}

/// The settings of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The metrics; the first one decides. Empty: `macro_f1` if it is there, otherwise `accuracy`.
    pub metrics: Vec<String>,
    /// The split; default: `test` if it has rows, otherwise the first.
    pub split: Option<String>,
    /// The baseline: its name, a part of it, a stage, a trial or a run; default: the first recipe.
    pub baseline: Option<String>,
    /// The seeds to compare; empty: all.
    pub seeds: Vec<u64>,
    /// The parameter by whose values recipes are aggregated.
    pub by: Option<String>,
    /// Whether to list texts that flip, and for which recipe; `Some(None)`: the best of the others.
    pub examples: Option<Option<String>>,
    /// The largest number of listed texts.
    pub most_examples: usize,
    /// The column to sort recipes by: a metric, a parameter, `stage` or `trial`.
    pub sort_by: Option<String>,
    /// The number of recipes to show besides the baseline.
    pub top: Option<usize>,
    /// Whether recipes may have been tested on different rows.
    pub different_tests: bool,
}
