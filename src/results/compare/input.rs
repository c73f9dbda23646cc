//! What is compared, and how.

use crate::data::predictions::Block;
use crate::results::results::ResultRow;

/// A table of results with what lies beside it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// How it is named in messages.
    pub name: String,
    pub rows: Vec<ResultRow>,
    /// Predictions of its rows; of those without any, nothing is said about single texts.
    pub predictions: Vec<Block>,
    /// What tells its pipeline from others, but for the seed: rows of several runs are one recipe
    /// only where it is the same. `None` where it is not known.
    pub fingerprint: Option<String>,
}

/// What is asked about the sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The metrics, the first being the one that is judged. Empty: `macro_f1` where there is one,
    /// else `accuracy`.
    pub metrics: Vec<String>,
    /// The split; default: `test` where there are such rows, else the first.
    pub split: Option<String>,
    /// The recipe that others are compared with: its name, a part of it, a stage, a trial or a run;
    /// default: the first.
    pub baseline: Option<String>,
    /// The seeds that take part; empty: all.
    pub seeds: Vec<u64>,
    /// The parameter whose values are summed up over recipes.
    pub by: Option<String>,
    /// Whether texts that flip are listed, and against which recipe; `Some(None)`: the best of the
    /// others.
    pub examples: Option<Option<String>>,
    /// At most so many texts.
    pub most_examples: usize,
    /// The column to sort recipes by: a metric, a parameter, `stage` or `trial`.
    pub sort_by: Option<String>,
    /// How many recipes to show besides the baseline.
    pub top: Option<usize>,
    /// Whether recipes may have been tested on different rows.
    pub different_tests: bool,
}
