//! What a user says about a table.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a user says about a table; what is left open is found out from the file.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The column of the texts.
    pub text: &'a str,
    /// The column of the labels; `None` where none are wanted.
    pub label: Option<&'a str>,
    pub separator: Option<Separator>,
    pub quoting: Option<Quoting>,
    pub encoding: Option<Encoding>,
    pub empty: Empty,
}

/// The names of the text's and the label's column; `None` for one that is not wanted.
pub(super) type Names<'a> = [Option<&'a str>; 2];

impl<'a> Reading<'a> {
    /// Returns the names of the two columns, with nothing else said.
    pub const fn of(text: &'a str, label: &'a str) -> Reading<'a> {
        Reading {
            text,
            label: Some(label),
            separator: None,
            quoting: None,
            encoding: None,
            empty: Empty::Error,
        }
    }

    /// Returns the names of the two columns; one without a name is not wanted.
    pub(super) fn names(&self) -> Names<'a> {
        [Some(self.text).filter(|name| !name.is_empty()), self.label]
    }
}

/// How fields are quoted in CSV and TSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quoting {
    /// A quote is a letter like any other, as in GLUE's TSV.
    None,
    /// A field in double quotes may hold separators and newlines; a quote within it stands twice.
    Double,
}

/// What happens to rows without a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// Fails and names the rows.
    #[default]
    Error,
    /// Leaves them out and says how many.
    Drop,
}

/// The character between two fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separator(u8);

impl Separator {
    pub(super) const COMMA: Separator = Separator(b',');
    pub(super) const SEMICOLON: Separator = Separator(b';');
    pub(super) const TAB: Separator = Separator(b'\t');
    pub(super) const BAR: Separator = Separator(b'|');

    pub(super) fn byte(self) -> u8 {
        self.0
    }

    /// Returns it as messages show it.
    pub(super) fn shown(self) -> String {
        match self.0 {
            b'\t' => "tab".to_owned(),
            byte => char::from(byte).to_string(),
        }
    }
}

impl FromStr for Separator {
    type Err = ();

    /// Reads one ASCII character, or the word `tab`. Quotes, letters, digits and line ends separate
    /// nothing.
    fn from_str(name: &str) -> Result<Separator, ()> {
        match name.as_bytes() {
            b"tab" => Ok(Separator::TAB),
            [byte]
                if byte.is_ascii()
                    && !byte.is_ascii_alphanumeric()
                    && !matches!(byte, b'"' | b'\n' | b'\r' | 0) =>
            {
                Ok(Separator(*byte))
            }
            _ => Err(()),
        }
    }
}

/// The encoding of a file of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(pub(super) &'static encoding_rs::Encoding);

impl FromStr for Encoding {
    type Err = ();

    /// Reads a name of the WHATWG's standard, such as `windows-1252`, `latin1` or `shift_jis`.
    fn from_str(name: &str) -> Result<Encoding, ()> {
        // Python writes `utf_8`, `utf-8-sig` and `latin-1` too.
        let python = name.to_lowercase().replace('_', "-");
        let python = python.trim_end_matches("-sig").to_owned();
        let joined = python.replace('-', "");
        [name, &python, &joined]
            .into_iter()
            .find_map(|name| encoding_rs::Encoding::for_label_no_replacement(name.as_bytes()))
            .map(Encoding)
            .ok_or(())
    }
}
