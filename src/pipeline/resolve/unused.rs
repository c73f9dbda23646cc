//! Parameters that reach nothing.

use indexmap::IndexSet;

use super::uses::Uses;
use crate::pipeline::problem::problem::Problem;
use crate::pipeline::yaml::node::{Entry, Map, Node, Value};

/// What the file itself says of parameters, before the command line sets any.
pub(in crate::pipeline) struct Before {
    pub uses: Uses,
    /// The dotted keys of all parameters.
    pub names: IndexSet<String>,
}

/// Returns the dotted keys of a file's parameters.
pub(in crate::pipeline) fn parameters(root: &Map) -> IndexSet<String> {
    leaves(root).into_iter().map(|(key, _)| key).collect()
}

/// Reports parameters that nothing refers to. One of the file may be referred to by a value that
/// the command line replaces, but one of the command line must reach something.
pub(in crate::pipeline) fn check(
    root: &Map,
    before: &Before,
    uses: &Uses,
    problems: &mut Vec<Problem>,
) {
    let is_record = root.get("resolved").is_some_and(
        |entry| matches!(&entry.node.value, Value::Scalar(scalar) if scalar.text == "true"),
    );
    /// With more problems, nobody reads the hints, and each compares with every name.
    const MAX_HINTS: usize = 50;
    let start = problems.len();
    for (key, entry) in leaves(root) {
        let is_set = is_set(entry);
        let is_used = uses.reach(&key)
            || !is_set && (is_record || before.uses.reach(&key) || uses.repeat(&entry.node));
        if is_used {
            continue;
        }
        let is_known = before.names.contains(&key);
        let problem = if is_known {
            Problem::at(entry.key, format!("nothing refers to the parameter `{key}`")).hint(
                match is_set {
                    true => format!("set the value that is meant, or refer to `${{params.{key}}}`"),
                    false => format!("refer to it as `${{params.{key}}}`, or remove it"),
                },
            )
        } else {
            let problem = Problem::at(
                entry.key,
                format!("the file has no parameter `{key}`, and nothing refers to it"),
            );
            if problems.len() - start > MAX_HINTS {
                problem
            } else {
                let names = before.names.iter().map(String::as_str);
                problem.suggest(&key, "its parameters are", names)
            }
        };
        problems.push(problem);
    }
}

/// Returns whether the command line set the value, or a part of it.
fn is_set(entry: &Entry) -> bool {
    fn within(node: &Node) -> bool {
        node.span.origin > 0
            || match &node.value {
                Value::List(items) => items.iter().any(within),
                Value::Map(map) => map.values().any(is_set),
                Value::Scalar(_) | Value::Broken => false,
            }
    }
    entry.key.origin > 0 || within(&entry.node)
}

/// Returns the parameters that are not maps of others, by their dotted keys.
fn leaves(root: &Map) -> Vec<(String, &Entry)> {
    fn add<'a>(map: &'a Map, prefix: &str, found: &mut Vec<(String, &'a Entry)>) {
        // Another message is about names that are none.
        let is_name =
            |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        for (key, entry) in map.iter().filter(|(key, _)| is_name(key)) {
            let key = format!("{prefix}{key}");
            match &entry.node.value {
                Value::Map(inner) if !inner.is_empty() => add(inner, &format!("{key}."), found),
                _ => found.push((key, entry)),
            }
        }
    }
    let mut found = Vec::new();
    if let Some(map) = root.get("params").and_then(|entry| entry.node.as_map()) {
        add(map, "", &mut found);
    }
    found
}
