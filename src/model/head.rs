//! The kinds of classification head, and of pooling without one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The input of the classification head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// The architecture's own head, as in `transformers`: BERT's pooler over the first token,
    /// RoBERTa's and DistilBERT's dense layer.
    #[default]
    Auto,
    /// A linear layer over the mean of the token states, without padding.
    Mean,
    /// A linear layer over the first token's state.
    Cls,
}

impl Head {
    /// Returns the name in a pipeline file.
    pub const fn name(self) -> &'static str {
        match self {
            Head::Auto => "auto",
            Head::Mean => "mean",
            Head::Cls => "cls",
        }
    }
}

/// How the token states of a text become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of the token states, without padding.
    #[default]
    Mean,
    /// The state of the first token.
    Cls,
}
