//! What is written of values that environment variables gave: their names, or digests.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::base::digest::Digest;
use crate::base::secrets::Secrets;
use crate::pipeline::yaml::node::{Map, Node, Value};

/// The values of a stage's configuration that environment variables gave.
#[derive(Clone, Debug, Default)]
pub struct StageSecrets {
    /// The configuration as the file has it; `None` if it holds no such value.
    source: Option<Arc<Node>>,
    /// The same values with what is written in their places, for what the stage keeps.
    pub own: Secrets,
    /// All such values of the file, for messages.
    pub values: Secrets,
}

impl StageSecrets {
    /// Returns those of a stage, whose node holds its kind alone.
    pub(in crate::pipeline) fn of(stage: &Node, kind: &str, values: &Secrets) -> StageSecrets {
        let config = stage.as_map().and_then(|map| map.get(kind)).map(|entry| &entry.node);
        let source = config.filter(|node| node.holds_secret()).map(|node| Arc::new(node.clone()));
        let own = source.iter().flat_map(|node| node.secrets());
        let own = Secrets::new(own.map(|(name, text)| (text.to_owned(), name.to_owned())));
        StageSecrets { source, own, values: values.clone() }
    }

    /// Returns a typed configuration with a digest in place of each such value.
    pub fn digested(&self, typed: Json) -> Json {
        match &self.source {
            Some(source) => digested(typed, source),
            None => typed,
        }
    }
}

/// Returns a typed value as it is written to a file: where an environment variable gave a value,
/// it is what the file has there.
pub(in crate::pipeline) fn named(mut typed: Node, source: &Node) -> Node {
    if !source.holds_secret() {
        return typed;
    }
    match (&mut typed.value, &source.value) {
        (Value::Map(map), Value::Map(from)) if has_all(from, |key| map.contains_key(key)) => {
            for (key, entry) in from.iter().filter(|(_, entry)| entry.node.holds_secret()) {
                if let Some(own) = map.get_mut(key) {
                    own.node = named(own.node.clone(), &entry.node);
                }
            }
            typed
        }
        (Value::List(items), Value::List(from)) if items.len() == from.len() => {
            for (item, from) in items.iter_mut().zip(from) {
                *item = named(item.clone(), from);
            }
            typed
        }
        // The file's own spelling reads back to the same value, whatever typing made of it.
        _ => source.clone(),
    }
}

/// Returns a typed value with a digest of it in place of each part that an environment variable
/// gave.
fn digested(mut typed: Json, source: &Node) -> Json {
    if !source.holds_secret() {
        return typed;
    }
    match (&mut typed, &source.value) {
        (Json::Object(map), Value::Map(from)) if has_all(from, |key| map.contains_key(key)) => {
            for (key, entry) in from.iter().filter(|(_, entry)| entry.node.holds_secret()) {
                if let Some(own) = map.get_mut(key) {
                    *own = digested(own.take(), &entry.node);
                }
            }
            typed
        }
        (Json::Array(items), Value::List(from)) if items.len() == from.len() => {
            for (item, from) in items.iter_mut().zip(from) {
                *item = digested(item.take(), from);
            }
            typed
        }
        _ => {
            let names: Vec<&str> = source.secrets().into_iter().map(|(name, _)| name).collect();
            let names = names.join(" ");
            let digest = Digest::of(format!("{names}\n{typed}").as_bytes());
            Json::String(format!("{names} ({digest})"))
        }
    }
}

/// Says whether all keys with such values below them are there.
fn has_all(from: &Map, is_there: impl Fn(&str) -> bool) -> bool {
    from.iter().all(|(key, entry)| is_there(key) || !entry.node.holds_secret())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::problem::source::Span;
    use crate::pipeline::yaml::node::{Entry, Form};

    fn secret(value: &str) -> Node {
        let mut node = Node::scalar(Span::default(), value, Form::Loose);
        if let Value::Scalar(scalar) = &mut node.value {
            scalar.written = Some("${env:X}".into());
        }
        node
    }

    fn map(key: &str, node: Node) -> Node {
        let entry = Entry { key: Span::default(), node };
        Node::new(Span::default(), Value::Map(Map::from([(key.to_owned(), entry)])))
    }

    #[test]
    fn a_digest_stands_for_the_value_wherever_typing_puts_it() {
        let of = |value: &str, typed: Json| digested(typed, &map("a", secret(value))).to_string();
        for typed in [
            |value: &str| json!({"a": value, "b": 1}),
            // Other shapes than the file's.
            |value: &str| json!({"a": {"kind": value}}),
            |value: &str| json!({"other": [value]}),
            |value: &str| json!([value]),
        ] {
            let (one, other) = (of("hunter2", typed("hunter2")), of("hunter3", typed("hunter3")));
            assert!(one.contains("${env:X} (") && !one.contains("hunter2"), "{one}");
            assert_ne!(one, other);
            assert_eq!(one, of("hunter2", typed("hunter2")));
        }
        assert!(of("x", json!({"a": "x", "b": 1})).contains("\"b\":1"));
    }
}
