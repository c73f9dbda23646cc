//! The kinds of classification head, and of pooling without one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the classification head reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// The architecture's own head, as `transformers` builds it: BERT's pooler over the first
    /// token, RoBERTa's and DistilBERT's dense layer.
    #[default]
    Auto,
    /// A linear layer over the mean of the token states, padding left out.
    Mean,
    /// A linear layer over the first token's state.
    Cls,
}

/// How the states of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean, padding left out.
    #[default]
    Mean,
    /// The first token's.
    Cls,
}
