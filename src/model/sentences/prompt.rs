//! Which prompt stands before each text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands before each text, such as `query: `.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// The default prompt of the folder (`config_sentence_transformers.json`), where it has one.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// This text.
    Text(String),
    /// The prompt that the folder has under this name.
    Named(String),
}

impl Prompt {
    /// Says whether the folder decides.
    pub fn is_auto(&self) -> bool {
        *self == Prompt::Auto
    }
}
