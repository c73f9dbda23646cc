//! Which parameters reach something: those that the file refers to outside `params`, directly or
//! through other parameters.

use std::collections::HashSet;

use super::interpolate::{Piece, pieces};
use crate::pipeline::problem::source::Span;
use crate::pipeline::problem::suggest;
use crate::pipeline::yaml::node::{Map, Node, Value};
use crate::pipeline::yaml::parse::MAX_DEPTH;

/// The parameters that a file refers to, read before its interpolations are filled in.
#[derive(Clone, Debug, Default)]
pub(in crate::pipeline) struct Uses {
    /// The dotted keys below `params` that are referred to.
    keys: HashSet<String>,
    /// Every key above one of them.
    above: HashSet<String>,
    /// The places of values outside `params`, and of those that occur twice in it: an alias has the
    /// place of the value that it repeats.
    copies: HashSet<Span>,
    /// Whether there is too much to follow. Then every parameter counts as used.
    everything: bool,
}

impl Uses {
    /// Finds the parameters that a tree refers to.
    pub(in crate::pipeline) fn of(root: &Map) -> Uses {
        /// A file with more references is broken, and its other problems say so.
        const MOST: usize = 100_000;
        let mut uses = Uses::default();
        let mut found = Vec::new();
        for (_, entry) in root.iter().filter(|(name, _)| *name != "params") {
            references(&entry.node, &mut found);
            copies(&entry.node, &mut uses.copies);
        }
        conditions(root, &mut found);
        let params = root.get("params").map(|entry| &entry.node);
        if let Some(params) = params {
            twice(params, &mut HashSet::new(), &mut uses.copies);
        }
        let mut misses = 0;
        while let Some(key) = found.pop() {
            if uses.keys.contains(&key) || key.matches('.').count() > MAX_DEPTH {
                continue;
            }
            if let Some(params) = params {
                follow(params, &key, &mut found, &mut misses);
            }
            let dots = key.match_indices('.').map(|(at, _)| key[..at].to_owned());
            uses.above.extend(dots);
            uses.keys.insert(key);
            if uses.keys.len() > MOST || misses > MAX_MISSES {
                uses.everything = true;
                break;
            }
        }
        uses
    }

    /// Returns whether the parameter with this dotted key below `params`, or one below it, is
    /// referred to.
    pub(in crate::pipeline) fn reach(&self, key: &str) -> bool {
        let mut ends = key.match_indices('.').map(|(at, _)| at).chain([key.len()]);
        self.everything
            || self.above.contains(key)
            || ends.any(|end| self.keys.contains(&key[..end]))
    }

    /// Returns whether an alias repeats the value.
    pub(in crate::pipeline) fn repeat(&self, node: &Node) -> bool {
        self.copies.contains(&node.span)
    }
}

/// Collects the parameters on whose values others of a sweep depend.
fn conditions(root: &Map, found: &mut Vec<String>) {
    let below =
        |map: &Map, name: &str| map.get(name).and_then(|entry| entry.node.as_map().cloned());
    let Some(swept) = below(root, "sweep").and_then(|sweep| below(&sweep, "parameters")) else {
        return;
    };
    let whens = swept.values().filter_map(|entry| below(entry.node.as_map()?, "when"));
    let keys = whens.flat_map(|when| when.into_keys());
    found.extend(keys.filter_map(|key| Some(key.strip_prefix("params.")?.to_owned())));
}

/// The number of references to missing parameters that are compared with every name.
const MAX_MISSES: usize = 10;

/// Collects the parameters that a value refers to.
fn references(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| references(item, found)),
        Value::Map(map) => map.values().for_each(|entry| references(&entry.node, found)),
        Value::Scalar(scalar) if scalar.text.contains("${") => found.extend(named(&scalar.text)),
        Value::Scalar(_) | Value::Broken => {}
    }
}

fn copies(node: &Node, found: &mut HashSet<Span>) {
    found.insert(node.span);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| copies(item, found)),
        Value::Map(map) => map.values().for_each(|entry| copies(&entry.node, found)),
        Value::Scalar(_) | Value::Broken => {}
    }
}

/// Collects the places that occur twice.
fn twice(node: &Node, seen: &mut HashSet<Span>, found: &mut HashSet<Span>) {
    if !seen.insert(node.span) {
        found.insert(node.span);
    }
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| twice(item, seen, found)),
        Value::Map(map) => map.values().for_each(|entry| twice(&entry.node, seen, found)),
        Value::Scalar(_) | Value::Broken => {}
    }
}

/// Returns the keys of the parameters that a text refers to. `${rate}` is meant as
/// `${params.rate}`, which another message says.
fn named(text: &str) -> Vec<String> {
    let (whole, rest) = match pieces(text) {
        Ok(pieces) => (pieces, ""),
        Err(rest) => (pieces(&text[..text.len() - rest.len()]).unwrap_or_default(), rest),
    };
    let key = |reference: &str| {
        let name = reference.strip_prefix("params.").unwrap_or(reference);
        (!reference.starts_with("env:")).then(|| name.to_owned())
    };
    let unclosed = rest.strip_prefix("${").map(|rest| {
        rest.split(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).next().unwrap_or(rest)
    });
    let whole = whole.iter().filter_map(|piece| match piece {
        Piece::Reference(reference) => Some(*reference),
        Piece::Text(_) => None,
    });
    whole.chain(unclosed).filter_map(key).collect()
}

/// Collects the parameters that a parameter refers to. A parameter that is only misspelt counts as
/// used, since the message about its reference names it.
fn follow(params: &Node, key: &str, found: &mut Vec<String>, misses: &mut usize) {
    let mut node = params;
    let mut at = 0;
    loop {
        if let Value::Scalar(scalar) = &node.value
            && scalar.text.contains("${")
        {
            // The rest of the key lies in the value that this one refers to.
            let rest = key.get(at..).unwrap_or("");
            let keys = named(&scalar.text).into_iter();
            found.extend(keys.map(|name| match rest {
                "" => name,
                rest => format!("{name}.{rest}"),
            }));
            return;
        }
        let Some(rest) = key.get(at..).filter(|rest| !rest.is_empty()) else {
            return references(node, found);
        };
        let name = rest.split('.').next().unwrap_or(rest);
        let names = node.as_map();
        match names.and_then(|map| map.get(name)) {
            Some(entry) => node = &entry.node,
            None => {
                *misses += 1;
                let names = names.into_iter().flat_map(|map| map.keys().map(String::as_str));
                let near = suggest::nearest(name, names);
                found.extend(near.map(|near| format!("{}{near}", &key[..at])));
                return;
            }
        }
        at += name.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::yaml::parse::{Budget, parse};

    fn uses(text: &str) -> Uses {
        let node = parse(text, 0, 0, &mut Budget::default(), &mut Vec::new());
        let map = node.and_then(|node| match node.value {
            Value::Map(map) => Some(map),
            _ => None,
        });
        map.map_or_else(Uses::default, |map| Uses::of(&map))
    }

    #[test]
    fn a_parameter_is_used_directly_or_through_others() {
        let uses = uses(
            "params: { a: 1, b: \"${params.a}\", nest: { c: 2, d: \"x${params.e}\" }, e: 3, \
             all: \"${params.nest}\", f: \"${params.g}\", g: 4 }\n\
             stages: { s: [\"${params.b}\", \"$${params.f}\", \"${params.all.d}\"] }\n",
        );
        for key in ["a", "b", "nest", "nest.d", "e", "all"] {
            assert!(uses.reach(key), "{key}");
        }
        for key in ["nest.c", "f", "g", "nothing"] {
            assert!(!uses.reach(key), "{key}");
        }
    }

    #[test]
    fn a_reference_to_a_map_uses_all_below_it() {
        let uses = uses(
            "params: { nest: { c: 2, d: { e: 1 } }, other: 1 }\n\
             stages: { s: \"${params.nest}\" }\n",
        );
        assert!(uses.reach("nest.c") && uses.reach("nest.d.e") && !uses.reach("other"));
    }

    #[test]
    fn a_condition_of_a_sweep_uses_its_parameter() {
        let uses = uses(
            "params: { kind: a, spare: b }\nsweep: { parameters: { params.kind: { values: [a, b] }, \
             stages.s.x: { values: [1, 2], when: { params.kind: a } } } }\n",
        );
        assert!(uses.reach("kind") && !uses.reach("spare"));
    }

    #[test]
    fn circles_and_misspelt_references_end() {
        let found = uses(
            "params: { a: \"${params.a.b}${params.a.c}\", rate: 1, list: 2 }\n\
             stages: { s: \"${params.a} ${params.rte} ${rate} ${params.list\" }\n",
        );
        assert!(found.reach("rate") && found.reach("list"));
    }
}
