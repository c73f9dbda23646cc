//! What is done to texts before they are tokenized.

use serde::{Deserialize, Serialize};

use crate::text::{Combine, Windows};

/// What is done to texts before they are tokenized, as it is stored with a trained model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// What stands before each text.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Whether texts are put into lower case.
    #[serde(default)]
    pub lowers: bool,
    /// How texts are read that are longer than the input; cut where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
}

impl Preparation {
    /// Returns what the results of a text's windows become.
    pub fn combine(&self) -> Combine {
        self.windows.unwrap_or_default().combine
    }
}
