//! What a model reads of an example.

use std::borrow::Cow;
use std::fmt;

/// What a model reads of an example: one text, or a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pub first: String,
    /// The other text of a pair.
    pub second: Option<String>,
}

impl Text {
    /// Returns the texts of a pair joined by a space, or the one text as it is.
    pub fn joined(&self) -> Cow<'_, str> {
        match &self.second {
            None => Cow::Borrowed(&self.first),
            Some(second) => Cow::Owned(format!("{} {second}", self.first)),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined())
    }
}

impl From<String> for Text {
    fn from(first: String) -> Text {
        Text { first, second: None }
    }
}

impl From<&str> for Text {
    fn from(first: &str) -> Text {
        Text::from(first.to_owned())
    }
}
