//! Values of environment variables, which are known by their names wherever something is written.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// The fewest characters of a value that is looked for within longer texts. Shorter ones are no
/// secrets, and would be found in words that have nothing to do with them.
const LEAST: usize = 6;

/// The values of environment variables that a pipeline file uses, with their names.
///
/// What is written of a configuration knows the places of such values and does not need to look for
/// them. This finds them in sentences: messages, and what a stage says of its work.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Values with what is written in their places, the longest first.
    known: Arc<[(String, String)]>,
}

impl Secrets {
    /// Returns the values, each with what is written in its place: `${env:NAME}`.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Secrets {
        let mut known: Vec<(String, String)> =
            values.into_iter().filter(|(value, _)| !value.is_empty()).collect();
        known.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        known.dedup();
        Secrets { known: known.into() }
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Writes names in place of values: where the whole text is one, and where it holds one of some
    /// length.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if let Some((_, name)) = self.known.iter().find(|(value, _)| value == text) {
            return Cow::Owned(name.clone());
        }
        let long = self.known.iter().filter(|(value, _)| value.chars().count() >= LEAST);
        let found: Vec<_> = long.filter(|(value, _)| text.contains(value.as_str())).collect();
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        // In one pass, so that no name is taken for a value.
        let mut out = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            match found.iter().find(|(value, _)| rest.starts_with(value.as_str())) {
                Some((value, name)) => {
                    out.push_str(name);
                    rest = &rest[value.len()..];
                }
                None => {
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        Cow::Owned(out)
    }

    /// Writes names in place of values in the texts of a JSON value.
    pub fn hide_in(&self, json: &mut Value) {
        match json {
            Value::String(text) => {
                if let Cow::Owned(hidden) = self.hide(text) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.hide_in(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Shows the names alone.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|(_, name)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let pairs =
            [("hunter2", "A"), ("hunter2-long", "B"), ("8", "N"), ("", "E"), ("${env:A}", "C")];
        Secrets::new(pairs.map(|(value, name)| (value.to_owned(), format!("${{env:{name}}}"))))
    }

    #[test]
    fn values_give_way_to_their_names() {
        for (text, hidden) in [
            ("no folder `hunter2-long/x`, only hunter2", "no folder `${env:B}/x`, only ${env:A}"),
            ("8", "${env:N}"),
            ("18 of 28", "18 of 28"),
            ("", ""),
        ] {
            assert_eq!(secrets().hide(text), hidden);
        }
        let mut json = serde_json::json!({"run": ["x", "hunter2", "8"], "n": 8});
        secrets().hide_in(&mut json);
        assert_eq!(json, serde_json::json!({"run": ["x", "${env:A}", "${env:N}"], "n": 8}));
    }

    #[test]
    fn a_look_inside_shows_no_value() {
        assert!(!format!("{:?}", secrets()).contains("hunter2"));
    }
}
