//! The kinds of classification head, and of pooling without one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the token states of a text become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// What the folder says. A folder of sentence-transformers has its own pooling, dense modules
    /// and normalisation. In any other, a head is the architecture's own, as in `transformers`
    /// (BERT's pooler over the first token, RoBERTa's and DistilBERT's dense layer), and an
    /// embedding without a head is the mean.
    #[default]
    Auto,
    /// The mean of the token states, without padding.
    Mean,
    /// The first token's state.
    Cls,
    /// The largest value of each dimension among the tokens.
    Max,
    /// The sum of the token states, divided by the square root of their number.
    MeanSqrtLen,
    /// The last token's state.
    Last,
    /// The mean of the token states, weighted 1, 2, 3 and so on from the first token.
    WeightedMean,
}

/// A pooling: token states `[B, L, H]` and a mask `[B, L]` → `[B, H]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Mean,
    Cls,
    Max,
    MeanSqrtLen,
    Last,
    WeightedMean,
}

impl Head {
    /// Every kind.
    pub const ALL: [Head; 7] = [
        Head::Auto,
        Head::Mean,
        Head::Cls,
        Head::Max,
        Head::MeanSqrtLen,
        Head::Last,
        Head::WeightedMean,
    ];

    /// Returns the name in a pipeline file.
    pub const fn name(self) -> &'static str {
        match self {
            Head::Auto => "auto",
            Head::Mean => "mean",
            Head::Cls => "cls",
            Head::Max => "max",
            Head::MeanSqrtLen => "mean_sqrt_len",
            Head::Last => "last",
            Head::WeightedMean => "weighted_mean",
        }
    }

    /// Returns the kind with a name.
    pub fn of_name(name: &str) -> Option<Head> {
        Head::ALL.into_iter().find(|head| head.name() == name)
    }

    /// Returns the pooling that is named; `None` where the folder decides.
    pub const fn pooling(self) -> Option<Pooling> {
        match self {
            Head::Auto => None,
            Head::Mean => Some(Pooling::Mean),
            Head::Cls => Some(Pooling::Cls),
            Head::Max => Some(Pooling::Max),
            Head::MeanSqrtLen => Some(Pooling::MeanSqrtLen),
            Head::Last => Some(Pooling::Last),
            Head::WeightedMean => Some(Pooling::WeightedMean),
        }
    }
}

impl Pooling {
    /// Returns the setting that names it.
    pub const fn head(self) -> Head {
        match self {
            Pooling::Mean => Head::Mean,
            Pooling::Cls => Head::Cls,
            Pooling::Max => Head::Max,
            Pooling::MeanSqrtLen => Head::MeanSqrtLen,
            Pooling::Last => Head::Last,
            Pooling::WeightedMean => Head::WeightedMean,
        }
    }
}
