//! `${params.NAME}` and `${env:NAME}` in values.
//!
//! A value that consists of one interpolation becomes the referenced value, with its type; within a
//! longer text, the value is inserted as text. `${env:NAME:-default}` falls back if the variable is
//! not set; an empty one is an empty text. `$${` is a literal `${`.
//!
//! A value that an environment variable gave, or a part of it, keeps the variable's name beside it
//! on every way that it takes. That name is what is written down.

use std::borrow::Cow;
use std::collections::HashMap;
use std::env::VarError;
use std::rc::Rc;

use crate::base::secrets::Secrets;
use crate::pipeline::problem::problem::Problem;
use crate::pipeline::problem::source::{Sources, Span};
use crate::pipeline::problem::suggest;
use crate::pipeline::yaml::node::{Form, Map, Node, Scalar, Value, clip};
use crate::pipeline::yaml::parse::{Budget, MAX_DEPTH, too_deep};

/// The reader of environment variables; tests supply their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// The longest chain of parameters that refer to each other. More than a few are a mistake, and
/// thousands would overflow the stack.
const MAX_CHAIN: usize = 32;

/// Replaces every interpolation below `root`. An interpolation that cannot be replaced becomes
/// [`Value::Broken`], with a problem.
pub(in crate::pipeline) fn interpolate(
    root: &mut Map,
    sources: &Sources,
    environment: Environment<'_>,
    budget: &mut Budget,
    problems: &mut Vec<Problem>,
) -> Secrets {
    let raw = root.get("params").map(|entry| Rc::new(entry.node.clone()));
    let mut work = Interpolation {
        raw,
        sources,
        environment,
        budget,
        problems,
        done: HashMap::new(),
        chain: Vec::new(),
        secrets: Vec::new(),
    };
    for entry in root.values_mut() {
        work.node(&mut entry.node, 1);
    }
    Secrets::new(work.secrets)
}

struct Interpolation<'a> {
    /// `params` before interpolation.
    raw: Option<Rc<Node>>,
    sources: &'a Sources,
    environment: Environment<'a>,
    budget: &'a mut Budget,
    problems: &'a mut Vec<Problem>,
    /// Parameters by dotted key, resolved; `None` after a problem.
    done: HashMap<String, Option<Rc<Found>>>,
    /// The parameters that are being resolved; each is referenced by the one before.
    chain: Vec<String>,
    /// The values of environment variables, with what is written in their places.
    secrets: Vec<(String, String)>,
}

/// A referenced value. Its size is measured once, since it may be large and referenced often.
struct Found {
    node: Node,
    weight: usize,
    depth: usize,
}

impl Found {
    fn new(node: Node) -> Rc<Found> {
        Rc::new(Found { weight: node.weight(), depth: node.depth(), node })
    }
}

/// A piece of a text with interpolations.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// The text between `${` and `}`.
    Reference(&'a str),
}

impl Interpolation<'_> {
    /// Resolves a node in place, `depth` lists and maps deep.
    fn node(&mut self, node: &mut Node, depth: usize) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, depth + 1)),
            Value::Map(map) => {
                map.values_mut().for_each(|entry| self.node(&mut entry.node, depth + 1))
            }
            Value::Scalar(scalar) if scalar.text.contains("${") => {
                let scalar = scalar.clone();
                match self.scalar(&scalar, node.span, depth) {
                    Some((value, from)) => {
                        node.value = value;
                        node.from = from.or(node.from);
                    }
                    None => node.value = Value::Broken,
                }
            }
            Value::Scalar(_) | Value::Broken => {}
        }
    }

    fn scalar(
        &mut self,
        scalar: &Scalar,
        span: Span,
        depth: usize,
    ) -> Option<(Value, Option<Span>)> {
        let pieces = match pieces(&scalar.text) {
            Ok(pieces) => pieces,
            Err(rest) => {
                return self.problem(
                    Problem::at(self.within(span, rest), "`${` without a closing `}`")
                        .hint("write `$${` for a literal `${`"),
                );
            }
        };
        if let [Piece::Reference(reference)] = pieces.as_slice() {
            let found = self.reference(reference, span)?;
            if depth + found.depth > MAX_DEPTH {
                return self.problem(too_deep(span));
            }
            let from = found.node.from.unwrap_or(found.node.span);
            return Some((found.node.value.clone(), Some(from).filter(|from| *from != span)));
        }
        let (mut text, mut written, mut is_secret) = (String::new(), String::new(), false);
        for piece in pieces {
            match piece {
                Piece::Text(piece) => {
                    text.push_str(piece);
                    written.push_str(&piece.replace("${", "$${"));
                }
                Piece::Reference(reference) => {
                    let found = self.reference(reference, span)?;
                    let Value::Scalar(scalar) = &found.node.value else {
                        let what = found.node.describe();
                        let message = format!(
                            "`{}` is {what}, which cannot be part of a text",
                            clip(reference)
                        );
                        return self.problem(Problem::at(self.place(span, reference), message));
                    };
                    text.push_str(&scalar.text);
                    match &scalar.written {
                        Some(name) => written.push_str(name),
                        None => written.push_str(&scalar.text.replace("${", "$${")),
                    }
                    is_secret |= scalar.written.is_some();
                }
            }
        }
        let written = is_secret.then(|| written.into());
        Some((Value::Scalar(Scalar { text, form: Form::Text, written }), None))
    }

    /// Returns the referenced value.
    fn reference(&mut self, reference: &str, span: Span) -> Option<Rc<Found>> {
        let found = if let Some(variable) = reference.strip_prefix("env:") {
            Found::new(self.variable(variable, reference, span)?)
        } else if let Some(key) = reference.strip_prefix("params.") {
            self.parameter(key, reference, span)?
        } else {
            let raw = self.raw.clone().filter(|_| self.hints_are_read());
            let similar = raw.as_ref().and_then(|raw| suggest::nearest(reference, names(raw)));
            let hint = match similar {
                Some(name) => format!("did you mean `${{params.{name}}}`?"),
                None => "write `$${` for a literal `${`".to_owned(),
            };
            let message = format!(
                "unknown interpolation `${{{}}}`; expected `${{params.NAME}}` or `${{env:NAME}}`",
                clip(reference)
            );
            return self.problem(Problem::at(self.place(span, reference), message).hint(hint));
        };
        if !self.budget.take(found.weight) {
            return self.problem(Problem::at(
                span,
                "the file becomes too large once its interpolations are filled in",
            ));
        }
        Some(found)
    }

    fn variable(&mut self, variable: &str, reference: &str, span: Span) -> Option<Node> {
        let (name, default) = match variable.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (variable, None),
        };
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{}` is not the name of an environment variable", clip(name));
            return self.problem(Problem::at(self.place(span, reference), message));
        }
        let text = match ((self.environment)(name), default) {
            (Ok(text), _) => {
                let written = format!("${{env:{name}}}");
                self.secrets.push((text.clone(), written.clone()));
                // An empty variable has a value, which a default must not replace.
                let form = if text.is_empty() { Form::Text } else { Form::Loose };
                let scalar = Scalar { text, form, written: Some(written.into()) };
                return Some(Node::new(span, Value::Scalar(scalar)));
            }
            // A default stands in the file.
            (Err(VarError::NotPresent), Some(default)) => default.to_owned(),
            (Err(VarError::NotPresent), None) => {
                let message = format!("the environment variable `{}` is not set", clip(name));
                return self.problem(Problem::at(self.place(span, reference), message).hint(
                    format!("set it, or give a default: `${{env:{}:-default}}`", clip(name)),
                ));
            }
            (Err(VarError::NotUnicode(_)), _) => {
                let message = format!("the environment variable `{}` is not UTF-8", clip(name));
                return self.problem(Problem::at(self.place(span, reference), message));
            }
        };
        Some(Node::scalar(span, text, Form::Loose))
    }

    fn parameter(&mut self, key: &str, reference: &str, span: Span) -> Option<Rc<Found>> {
        if let Some(start) = self.chain.iter().position(|other| other == key) {
            let mut round: Vec<&str> = self.chain[start..].iter().map(String::as_str).collect();
            round.push(key);
            let message =
                format!("the parameters refer to each other in a circle: {}", round.join(" -> "));
            let problem = Problem::at(self.place(span, reference), message);
            return self.problem(problem.hint("give one of them a value without a reference"));
        }
        if let Some(done) = self.done.get(key) {
            return done.clone();
        }
        if self.chain.len() >= MAX_CHAIN {
            let message =
                format!("more than {MAX_CHAIN} parameters refer to each other in a chain");
            return self.problem(Problem::at(self.place(span, reference), message));
        }
        self.chain.push(key.to_owned());
        let resolved = self.resolve(key, reference, span).map(Found::new);
        self.chain.pop();
        self.done.insert(key.to_owned(), resolved.clone());
        resolved
    }

    /// Finds a parameter and resolves its value.
    fn resolve(&mut self, key: &str, reference: &str, span: Span) -> Option<Node> {
        let Some(raw) = self.raw.clone() else {
            let message = format!("unknown parameter `{}`; the file has no `params`", clip(key));
            return self.problem(Problem::at(self.place(span, reference), message));
        };
        let mut node = Cow::Borrowed(raw.as_ref());
        for name in key.split('.') {
            if matches!(&node.value, Value::Scalar(scalar) if scalar.text.contains("${")) {
                self.node(node.to_mut(), 1);
            }
            if matches!(node.value, Value::Broken) {
                return None;
            }
            let next = match &mut node {
                Cow::Borrowed(node) => node
                    .as_map()
                    .and_then(|map| map.get(name))
                    .map(|entry| Cow::Borrowed(&entry.node)),
                Cow::Owned(Node { value: Value::Map(map), .. }) => {
                    map.swap_remove(name).map(|entry| Cow::Owned(entry.node))
                }
                Cow::Owned(_) => None,
            };
            let Some(next) = next else {
                let hint = if self.hints_are_read() {
                    suggest::hint(name, "there are", names(&node))
                } else {
                    None
                };
                let message = format!("unknown parameter `{}`", clip(key));
                return self
                    .problem(Problem::at(self.place(span, reference), message).maybe_hint(hint));
            };
            node = next;
        }
        let mut node = node.into_owned();
        self.node(&mut node, 1);
        (!matches!(node.value, Value::Broken)).then_some(node)
    }

    fn problem<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }

    /// Returns whether another hint that compares with every parameter is worth its time.
    fn hints_are_read(&self) -> bool {
        const MAX_HINTS: usize = 50;
        self.problems.len() < MAX_HINTS
    }

    /// Returns the place of a reference within a scalar.
    fn place(&self, span: Span, reference: &str) -> Span {
        self.within(span, &format!("${{{reference}}}"))
    }

    /// Returns the place of `part` within a scalar, if it occurs literally (a folded or escaped
    /// scalar has different text).
    fn within(&self, span: Span, part: &str) -> Span {
        match self.sources.slice(span).find(part) {
            Some(at) if !part.is_empty() => {
                Span { start: span.start + at, end: span.start + at + part.len(), ..span }
            }
            _ => span,
        }
    }
}

fn names(node: &Node) -> impl Iterator<Item = &str> + Clone {
    node.as_map().into_iter().flat_map(|map| map.keys().map(String::as_str))
}

/// Splits a text into pieces. An unclosed `${` is an error that holds the rest of the text from
/// there.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, &str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.push(Piece::Text(&rest[..at - 1]));
            pieces.push(Piece::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        let end = rest[at..].find('}').ok_or(&rest[at..])? + at;
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        pieces.push(Piece::Reference(rest[at + 2..end].trim()));
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::yaml::parse::parse;

    fn resolve(text: &str) -> (serde_json::Value, Vec<String>) {
        let mut problems = Vec::new();
        let mut budget = Budget::default();
        let sources = Sources::new(std::path::Path::new("x.yaml"), text.to_owned(), Vec::new());
        let mut root =
            parse(text, 0, 0, &mut budget, &mut problems).expect("the test's YAML is sound");
        let environment = |name: &str| match name {
            "SHOTS" => Ok("8".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(VarError::NotPresent),
        };
        if let Value::Map(map) = &mut root.value {
            interpolate(map, &sources, &environment, &mut budget, &mut problems);
        }
        (root.to_json(), problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn whole_values_keep_their_type_and_parts_become_text() {
        let (value, problems) = resolve(
            "params: { rate: 1e-5, nest: { deep: [1, \"${params.rate}\"] }, all: \
             \"${params.nest}\" }\na: ${params.rate}\nb: rate ${params.rate}!\nc: \
             ${params.all.deep}\nd: ${env:SHOTS}\ne: ${env:NONE:-x:-y}\nf: ${env:EMPTY:-z}\ng: \
             $${params.rate} $$${x}\nh: ${ params.rate }\ni: ${env:EMPTY}\nj: \
             \"[${env:EMPTY:-z}]\"\n",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(value["a"], 1e-5);
        assert_eq!(value["b"], "rate 1e-5!");
        assert_eq!(value["c"], serde_json::json!([1, 1e-5]));
        assert_eq!(value["d"], "${env:SHOTS}");
        assert_eq!(value["e"], "x:-y");
        let empty = "${env:EMPTY}";
        assert_eq!((&value["f"], &value["i"]), (&empty.into(), &empty.into()));
        assert_eq!(value["j"], "[${env:EMPTY}]");
        assert_eq!(value["g"], "${params.rate} $${x}");
        assert_eq!(value["h"], 1e-5);
    }

    #[test]
    fn circles_are_found() {
        let circle = |text: &str| resolve(text).1;
        assert_eq!(
            circle("params: { a: \"${params.b}\", b: \"x${params.a}\" }\n"),
            ["the parameters refer to each other in a circle: b -> a -> b"]
        );
        assert_eq!(
            circle("params: { a: { x: \"${params.a}\" } }\n"),
            ["the parameters refer to each other in a circle: a -> a"]
        );
        assert_eq!(circle("params: { a: { x: \"${params.a.y}\", y: 1 } }\n"), [""; 0]);
    }

    #[test]
    fn growth_and_chains_are_bounded() {
        let mut bomb = "params:\n  p0: \"0123456789012345678901234567890123456789\"\n".to_owned();
        for i in 1..30 {
            bomb += &format!("  p{i}: \"{}\"\n", format!("${{params.p{}}}", i - 1).repeat(9));
        }
        let problems = resolve(&bomb).1;
        assert_eq!(
            problems.first().map(String::as_str),
            Some("the file becomes too large once its interpolations are filled in")
        );
        let mut chain = "params:\n  p0: 1\n".to_owned();
        (1..10_000).rev().for_each(|i| chain += &format!("  p{i}: ${{params.p{}}}\n", i - 1));
        assert_eq!(
            resolve(&chain).1.first().map(String::as_str),
            Some("more than 32 parameters refer to each other in a chain")
        );
    }
}
