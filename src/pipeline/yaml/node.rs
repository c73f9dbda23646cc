//! The tree of a pipeline file: the YAML before its interpretation, with a place for every key and
//! value.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::pipeline::problem::source::Span;

/// A value with its place.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Node {
    /// The place of the value.
    pub span: Span,
    /// The place where it is written, if an interpolation put it at `span`.
    pub from: Option<Span>,
    pub value: Value,
}

/// A map in the order of the file.
pub(in crate::pipeline) type Map = IndexMap<String, Entry>;

/// A value under a key.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Entry {
    /// The place of the key.
    pub key: Span,
    pub node: Node,
}

#[derive(Clone, Debug)]
pub(in crate::pipeline) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
    /// A value with a reported problem. It fits everywhere, so that no problem is reported twice.
    Broken,
}

/// A text, number, truth value or null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Scalar {
    pub text: String,
    pub form: Form,
    /// What is written in place of the text, if an environment variable gave it or a part of it:
    /// `${env:NAME}`, with `$${` for a literal `${`.
    pub written: Option<Arc<str>>,
}

/// The ways to interpret a scalar's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Unquoted: interpreted by the rules of YAML 1.2.
    Plain,
    /// Quoted: a text.
    Text,
    /// Any type that is expected: for values of the command line and the environment, where quotes
    /// are hard to write. As a text it is what was written, white space included.
    Loose,
}

/// An interpreted scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::pipeline) enum Resolved<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(&'a str),
}

impl Node {
    pub(in crate::pipeline) fn scalar(span: Span, text: impl Into<String>, form: Form) -> Node {
        Node { span, from: None, value: Value::Scalar(Scalar::new(text, form)) }
    }

    pub(in crate::pipeline) fn new(span: Span, value: Value) -> Node {
        Node { span, from: None, value }
    }

    pub(in crate::pipeline) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(in crate::pipeline) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// Returns the approximate memory of the tree: one unit per node and one per 32 bytes of text.
    pub(in crate::pipeline) fn weight(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(scalar) => scalar.text.len() / 32,
            Value::List(items) => items.iter().map(Node::weight).sum(),
            Value::Map(map) => {
                map.iter().map(|(key, entry)| key.len() / 32 + entry.node.weight()).sum()
            }
            Value::Broken => 0,
        }
    }

    /// Says whether an environment variable gave the value or a part of it.
    pub(in crate::pipeline) fn holds_secret(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.written.is_some(),
            Value::List(items) => items.iter().any(Node::holds_secret),
            Value::Map(map) => map.values().any(|entry| entry.node.holds_secret()),
            Value::Broken => false,
        }
    }

    /// Returns the parts that environment variables gave: what is written in their places, and
    /// their texts.
    pub(in crate::pipeline) fn secrets(&self) -> Vec<(&str, &str)> {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.written.iter().map(|name| (name.as_ref(), scalar.text.as_str())).collect()
            }
            Value::List(items) => items.iter().flat_map(Node::secrets).collect(),
            Value::Map(map) => map.values().flat_map(|entry| entry.node.secrets()).collect(),
            Value::Broken => Vec::new(),
        }
    }

    /// Returns what is written in place of the first such part.
    pub(in crate::pipeline) fn secret_name(&self) -> Option<&str> {
        self.secrets().first().map(|(name, _)| *name)
    }

    /// Returns the number of levels of lists and maps.
    pub(in crate::pipeline) fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar(_) | Value::Broken => 0,
            Value::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(map) => 1 + map.values().map(|entry| entry.node.depth()).max().unwrap_or(0),
        }
    }

    /// Describes the value for messages.
    pub(in crate::pipeline) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) => scalar.describe(),
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(map) if map.is_empty() => "an empty map".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Broken => "something broken".to_owned(),
        }
    }

    /// Returns the value as JSON that is written down: with names in place of the values of
    /// environment variables. Numbers that would not arrive as they are written become texts:
    /// `.inf`, `.nan`, whole numbers beyond 64 bits, and those with leading zeros.
    pub(in crate::pipeline) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar.to_json(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(map) => {
                map.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect()
            }
            Value::Broken => serde_json::Value::Null,
        }
    }
}

impl Scalar {
    pub(in crate::pipeline) fn new(text: impl Into<String>, form: Form) -> Scalar {
        Scalar { text: text.into(), form, written: None }
    }

    /// Interprets the scalar by the core schema of YAML 1.2 (section 10.3.2).
    pub(crate) fn resolve(&self) -> Resolved<'_> {
        if self.form == Form::Text {
            return Resolved::Text(&self.text);
        }
        let text = match self.form {
            Form::Loose if !self.text.is_empty() && self.text.trim().is_empty() => {
                return Resolved::Text(&self.text);
            }
            Form::Loose => self.text.trim(),
            Form::Plain | Form::Text => &self.text,
        };
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
            "true" | "True" | "TRUE" => Resolved::Bool(true),
            "false" | "False" | "FALSE" => Resolved::Bool(false),
            text => number(text).unwrap_or(Resolved::Text(&self.text)),
        }
    }

    /// Says whether the scalar would be a number or a truth value without its quotes.
    pub(in crate::pipeline) fn is_quoted_number(&self) -> bool {
        let plain = Scalar { form: Form::Plain, ..self.clone() };
        let is_typed = matches!(
            plain.resolve(),
            Resolved::Integer(_) | Resolved::Float(_) | Resolved::Bool(_)
        );
        self.form == Form::Text && is_typed
    }

    /// Describes the value for messages.
    pub(crate) fn describe(&self) -> String {
        if let Some(written) = &self.written {
            return format!("the value of `{}`", clip(written));
        }
        match self.resolve() {
            Resolved::Null => "nothing".to_owned(),
            Resolved::Bool(value) => format!("`{value}`"),
            Resolved::Integer(_) | Resolved::Float(_) => format!("the number {}", clip(&self.text)),
            Resolved::Text("") => "an empty text".to_owned(),
            Resolved::Text(text) => format!("the text `{}`", clip(text)),
        }
    }

    /// Returns what a number would lose where no type is expected; `None` if it arrives whole.
    pub(in crate::pipeline) fn loss(&self) -> Option<&'static str> {
        const BEYOND: &str = "whole numbers have at most 64 bits";
        let digits = self.text.trim().trim_start_matches(['-', '+']);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match self.resolve() {
            Resolved::Integer(value) => {
                let fits = u64::try_from(value).is_ok() || i64::try_from(value).is_ok();
                match fits {
                    true if is_whole && digits.len() > 1 && digits.starts_with('0') => {
                        Some("a number has no leading zeros")
                    }
                    true => None,
                    false => Some(BEYOND),
                }
            }
            Resolved::Float(value) if !value.is_finite() => Some("a number is finite"),
            Resolved::Float(_) if is_whole => Some(BEYOND),
            _ => None,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        if let Some(written) = &self.written {
            return written.as_ref().into();
        }
        if self.loss().is_some() {
            return self.text.trim().into();
        }
        match self.resolve() {
            Resolved::Null => Json::Null,
            Resolved::Bool(value) => value.into(),
            Resolved::Integer(value) => u64::try_from(value)
                .map(Json::from)
                .or_else(|_| i64::try_from(value).map(Json::from))
                .unwrap_or_else(|_| self.text.clone().into()),
            Resolved::Float(value) => value.into(),
            Resolved::Text(text) => text.into(),
        }
    }
}

/// Shortens a text for a message, on one line.
pub(in crate::pipeline) fn clip(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut short: String =
        text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// Reads a number of YAML's core schema; Rust's parsers accept more (`inf`, `1_000`, `+0x1`).
fn number(text: &str) -> Option<Resolved<'_>> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return valid
                .then(|| i128::from_str_radix(digits, radix).ok().map(Resolved::Integer))
                .flatten();
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
            return Some(Resolved::Float(sign * f64::INFINITY));
        }
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => {
            return Some(Resolved::Float(f64::NAN));
        }
        _ => {}
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    if whole > 0 && rest.is_empty() {
        return text
            .parse()
            .ok()
            .map(Resolved::Integer)
            .or_else(|| text.parse().ok().map(Resolved::Float));
    }
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || digits(exponent) != exponent.len() {
            return None;
        }
    } else if !rest.is_empty() {
        return None;
    }
    text.parse().ok().map(Resolved::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar::new(text, Form::Plain)
    }

    #[test]
    fn follows_the_core_schema_of_yaml_1_2() {
        // The examples of YAML 1.2.2, sections 10.3.2 and 10.2, and the notorious ones of YAML 1.1.
        for (text, expected) in [
            ("", Resolved::Null),
            ("~", Resolved::Null),
            ("null", Resolved::Null),
            ("true", Resolved::Bool(true)),
            ("False", Resolved::Bool(false)),
            ("0", Resolved::Integer(0)),
            ("0o7", Resolved::Integer(7)),
            ("0x3A", Resolved::Integer(58)),
            ("-19", Resolved::Integer(-19)),
            ("+12", Resolved::Integer(12)),
            ("010", Resolved::Integer(10)),
            ("0.", Resolved::Float(0.0)),
            ("-0.0", Resolved::Float(-0.0)),
            (".5", Resolved::Float(0.5)),
            ("+12e03", Resolved::Float(12000.0)),
            ("-2E+05", Resolved::Float(-200_000.0)),
            ("1e-5", Resolved::Float(1e-5)),
            (".inf", Resolved::Float(f64::INFINITY)),
            ("-.Inf", Resolved::Float(f64::NEG_INFINITY)),
            ("no", Resolved::Text("no")),
            ("Off", Resolved::Text("Off")),
            ("1_000", Resolved::Text("1_000")),
            ("1:30", Resolved::Text("1:30")),
            ("inf", Resolved::Text("inf")),
            ("nan", Resolved::Text("nan")),
            ("-.nan", Resolved::Text("-.nan")),
            ("1e", Resolved::Text("1e")),
            ("1e5x", Resolved::Text("1e5x")),
            (".", Resolved::Text(".")),
            ("-", Resolved::Text("-")),
            ("0x", Resolved::Text("0x")),
            ("1.2.3", Resolved::Text("1.2.3")),
        ] {
            assert_eq!(plain(text).resolve(), expected, "{text:?}");
        }
        assert!(matches!(plain(".nan").resolve(), Resolved::Float(value) if value.is_nan()));
        assert!(matches!(plain(&"9".repeat(60)).resolve(), Resolved::Float(_)));
        let quoted = Scalar::new("5", Form::Text);
        assert_eq!(quoted.resolve(), Resolved::Text("5"));
    }
}
