//! A spec as YAML.

use indexmap::IndexMap;
use serde::Serialize;

use super::node::{Form, Map, Node, Resolved, Scalar, Value};
use super::parse::{Budget, parse};
use super::secret::named;
use crate::stages::{StageConfig, StageId};

/// Writes YAML that reads back to the same values. Numbers are written as they are; texts that look
/// like numbers are quoted.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Emitter {
    text: String,
}

impl Emitter {
    /// Writes a scalar at the top level.
    pub(crate) fn value(&mut self, key: &str, text: &str, form: Form) {
        self.scalar(key, &Scalar::new(text, form));
    }

    /// Writes a scalar of the file at the top level.
    pub(in crate::pipeline) fn scalar(&mut self, key: &str, value: &Scalar) {
        self.text += &format!("{key}: {}\n", scalar(value));
    }

    /// Writes a map at the top level.
    pub(crate) fn tree(&mut self, key: &str, map: &Map) {
        self.text += key;
        self.text.push(':');
        self.text += &map_below(map, 2);
    }

    /// Writes the stages, which `source` has as in the file.
    pub(in crate::pipeline) fn stages(
        &mut self,
        stages: &IndexMap<StageId, StageConfig>,
        source: Option<&Node>,
    ) {
        self.text += "stages:\n";
        for (id, config) in stages {
            let source = source.and_then(Node::as_map).and_then(|map| map.get(&id.0));
            let config = typed_below(config, source.map(|entry| &entry.node), 4);
            self.text += &format!("  {}:{config}", quote(&id.0, false));
        }
    }

    /// Writes a typed map at the top level, which `source` has as in the file.
    pub(in crate::pipeline) fn typed(
        &mut self,
        key: &str,
        value: &impl Serialize,
        source: Option<&Node>,
    ) {
        self.text += &format!("{key}:{}", typed_below(value, source, 2));
    }

    /// Writes a comment.
    pub(crate) fn comment(&mut self, text: &str) {
        self.text += &format!("# {text}\n");
    }

    /// Returns the written YAML.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// Writes a typed value after a key's colon, with the end of the line.
fn typed_below(value: &impl Serialize, source: Option<&Node>, indent: usize) -> String {
    // JSON is YAML, and its text has the shortest digits of an `f32`; serde_json's tree would have
    // the digits of an `f64`.
    let json: String =
        serde_json::to_string(value).unwrap_or_default().chars().map(escaped).collect();
    match parse(&json, 0, 0, &mut Budget::default(), &mut Vec::new()) {
        Some(node) => match source {
            Some(source) => below(&named(node, source), indent),
            None => below(&node, indent),
        },
        None => format!(" {json}\n"),
    }
}

/// Writes the text after a key's colon, with the end of the line.
fn below(node: &Node, indent: usize) -> String {
    match &node.value {
        Value::Scalar(value) => format!(" {}\n", scalar(value)),
        Value::Map(map) => map_below(map, indent),
        Value::List(items) => list_below(items, indent),
        Value::Broken => " null\n".to_owned(),
    }
}

fn map_below(map: &Map, indent: usize) -> String {
    if map.is_empty() {
        return " {}\n".to_owned();
    }
    let mut text = "\n".to_owned();
    for (key, entry) in map {
        text += &format!("{:indent$}{}:{}", "", quote(key, false), below(&entry.node, indent + 2));
    }
    text
}

fn list_below(items: &[Node], indent: usize) -> String {
    let flat: Option<Vec<String>> = items
        .iter()
        .map(|item| match &item.value {
            Value::Scalar(value) => Some(scalar(value)),
            _ => None,
        })
        .collect();
    if let Some(flat) = flat {
        return format!(" [{}]\n", flat.join(", "));
    }
    let mut text = "\n".to_owned();
    for item in items {
        let below = below(item, indent + 2);
        // A map or list starts on the dash's line.
        let below = below.trim_start_matches(['\n', ' ']);
        text += &format!("{:indent$}- {below}", "");
    }
    text
}

fn scalar(value: &Scalar) -> String {
    if let Some(written) = &value.written {
        return quote(written, false);
    }
    match value.resolve() {
        Resolved::Null => "null".to_owned(),
        Resolved::Bool(value) => value.to_string(),
        Resolved::Integer(_) | Resolved::Float(_) => value.text.clone(),
        Resolved::Text(text) => quote(text, true),
    }
}

/// Writes a text, with quotes if it would otherwise be read as something else. `escape` keeps a
/// `${` from being read as an interpolation.
fn quote(text: &str, escape: bool) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && matches!(Scalar::new(text, Form::Plain).resolve(), Resolved::Text(_));
    if plain {
        return text.to_owned();
    }
    let text = if escape { text.replace("${", "$${") } else { text.to_owned() };
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            _ => quoted += &escaped(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Writes a character that is not printable in YAML, or may break lines, as an escape that is valid
/// in YAML and JSON.
fn escaped(c: char) -> String {
    match c {
        '\0'..='\x1f'
        | '\x7f'..='\u{a0}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{feff}'
        | '\u{fffe}'
        | '\u{ffff}' => {
            format!("\\u{:04x}", u32::from(c))
        }
        _ => c.to_string(),
    }
}
