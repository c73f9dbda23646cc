//! Overrides from the command line: `-S a.b.c=value`.

use std::str::FromStr;

/// One `-S key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Dotted keys from the top of the file: `stages.tuned.train.epochs`.
    pub key: String,
    /// The value as YAML.
    pub value: String,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Override, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Override { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("expected `key=value`, found `{text}`")),
        }
    }
}
