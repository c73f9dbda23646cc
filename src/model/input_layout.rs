//! How a network takes its tokens.

use serde::{Deserialize, Serialize};

use super::config;
use super::encoders::Config;

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
        let encoder = config["model_type"].as_str().and_then(config::find);
        let named = config["pad_token_id"].as_u64().map(|id| id as usize);
        let padding_id = named.or(encoder.map(|it| it.padding_id)).unwrap_or_default();
        let first = encoder.map_or(0, |it| it.positions.first(padding_id));
        InputLayout { padding_id: padding_id as u32, first_position: first as i64 }
    }

    /// Returns an encoder's layout.
    pub fn of(config: &Config) -> InputLayout {
        InputLayout {
            padding_id: config.padding_id as u32,
            first_position: config.first_position() as i64,
        }
    }
}
