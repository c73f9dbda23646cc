//! Errors of comparisons.

use crate::results::format::FormatError;

/// A comparison that cannot be made as requested.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CompareError {
    #[error("there are no results to compare{}", left.as_deref().unwrap_or_default())]
    #[diagnostic(help("`pipe ls` lists the runs; complete ones have results"))]
    NoRows { left: Option<String> },
    #[error("there are no results of split `{split}`")]
    NoSplit {
        split: String,
        #[help]
        hint: String,
    },
    #[error("there are no results of {found}")]
    NoSeeds {
        found: String,
        #[help]
        hint: String,
    },
    #[error("there is no recipe `{name}`")]
    NoRecipe {
        name: String,
        #[help]
        hint: String,
    },
    #[error("`{name}` matches {count} recipes")]
    ManyRecipes {
        name: String,
        count: usize,
        #[help]
        hint: String,
    },
    #[error("`{name}` has no finished results to compare with: {reason}")]
    #[diagnostic(help("name another recipe with `--baseline`"))]
    EmptyBaseline { name: String, reason: String },
    #[error("recipes were tested on different rows: {first}, {second}")]
    #[diagnostic(help(
        "scores on different texts do not show which recipe is better; `--different-tests` \
         compares them anyway"
    ))]
    DifferentTests { first: String, second: String },
    #[error("there are no predictions to list texts from: {reason}")]
    #[diagnostic(help(
        "they are read from `predictions.parquet` beside the results; runs and trials of a sweep \
         have this file"
    ))]
    NoPredictions { reason: String },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Format(#[from] FormatError),
}
