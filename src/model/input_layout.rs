//! How a network takes its tokens.

use serde::{Deserialize, Serialize};

use super::config::{Architecture, Config};

/// How a batch's inputs are laid out; by default as BERT has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputLayout {
    /// What stands under the mask; it only has to be a row of the word table.
    pub padding_id: u32,
    /// The position number of the first token.
    pub first_position: i64,
}

impl InputLayout {
    /// Returns the layout of a network of which only the config.json is known.
    pub fn of_json(config: &serde_json::Value) -> InputLayout {
        let padding_id = config["pad_token_id"].as_u64().unwrap_or_default() as u32;
        let roberta = config["model_type"].as_str().is_some_and(|kind| kind.ends_with("roberta"));
        InputLayout {
            padding_id,
            first_position: if roberta { i64::from(padding_id) + 1 } else { 0 },
        }
    }

    /// Returns an encoder's layout.
    pub fn of(config: &Config) -> InputLayout {
        let roberta = config.architecture == Architecture::Roberta;
        InputLayout {
            padding_id: config.padding_id as u32,
            first_position: if roberta { config.padding_id as i64 + 1 } else { 0 },
        }
    }
}
