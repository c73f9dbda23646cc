//! Models that do not go together.

use crate::stages::contract::stage::StageId;

/// Models that do not go together.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EnsembleError {
    #[error("the classes of {first} are {expected}, those of {other} are {found}")]
    #[diagnostic(help("train the models on data with the same labels, in the same order"))]
    OtherClasses { first: String, expected: String, other: String, found: String },
    #[error("{other} has another {what} than {first}, so that their weights have no mean")]
    #[diagnostic(help(
        "train both from one encoder with one form of head and texts that are read in one way, or \
         combine `log_probabilities`"
    ))]
    OtherNetwork { first: String, other: String, what: &'static str },
    #[error("{model} is no encoder whose weights are known here")]
    #[diagnostic(help(
        "a soup takes models of `train` stages without `artifacts`; `log_probabilities` takes any"
    ))]
    NoEncoder { model: String },
    #[error("{model} counts its nearest train texts, whose vectors have no mean with others'")]
    #[diagnostic(help("combine `log_probabilities`, or train it with another `classifier`"))]
    NearestTexts { model: String },
    #[error("the dev split of `{0}` is empty")]
    #[diagnostic(help("a greedy soup chooses by dev; `uniform_soup` chooses nothing"))]
    EmptyDev(StageId),
    #[error("the `{metric}` of {model} on dev is no number")]
    #[diagnostic(help(
        "NaN or infinite weights cause this, or a metric that is not defined on this dev split; \
         look at the models' own scores, or choose another `metric`"
    ))]
    NoScore { metric: &'static str, model: String },
}
