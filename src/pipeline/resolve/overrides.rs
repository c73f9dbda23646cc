//! Overrides from the command line: `-S a.b.c=value`, and `a.b.c=value,value` for sweeps.

use std::fmt;
use std::str::FromStr;

use crate::pipeline::format;
use crate::pipeline::problem::problem::Problem;
use crate::pipeline::problem::source::Span;
use crate::pipeline::problem::suggest;
use crate::pipeline::yaml::node::{Entry, Form, Map, Node, Value};
use crate::pipeline::yaml::parse::{Budget, MAX_DEPTH, has_comment, parse, too_deep};

/// One `-S key=value`, or one `key=value,value` of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Dotted keys from the top of the file: `stages.tuned.train.epochs`. A number is the index of
    /// a list item, from 0.
    pub key: String,
    /// The value as YAML; one without quotes that is no list or map is taken as it is written.
    pub value: String,
    /// Whether the value is a list of values for the sweep's parameter with this key.
    pub is_parameter: bool,
}

impl Override {
    /// Returns the override that sets a key to a value.
    pub fn set(key: &str, value: &serde_json::Value) -> Override {
        // JSON is YAML; the values of a sweep were interpolated with the file.
        let value = value.to_string().replace("${", "$${");
        Override { key: key.to_owned(), value, is_parameter: false }
    }

    /// Reads a parameter of a sweep: `params.learning_rate=1e-5,2e-5`.
    pub fn parameter(text: &str) -> Result<Override, String> {
        let Override { key, value, .. } = text.parse().map_err(|_| {
            format!(
                "expected a parameter and its values, such as `params.learning_rate=1e-5,2e-5`, \
                 found `{text}`"
            )
        })?;
        Ok(Override { key, value: format!("[{value}]"), is_parameter: true })
    }

    /// Says whether it sets this key at the top of the file, or a value below it.
    pub(in crate::pipeline) fn is_of(&self, top: &str) -> bool {
        self.key.split('.').next() == Some(top) || (self.is_parameter && top == "sweep")
    }

    /// Returns the option before it on the command line.
    pub(in crate::pipeline) fn option(&self) -> &'static str {
        if self.is_parameter { "" } else { "--set " }
    }
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Override, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Override { key: key.to_owned(), value: value.to_owned(), is_parameter: false })
            }
            _ => Err(format!("expected `key=value`, found `{text}`")),
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl Override {
    /// Sets the value in the tree; `origin` is the number of the override's text.
    pub(in crate::pipeline) fn apply(
        &self,
        root: &mut Map,
        origin: usize,
        budget: &mut Budget,
        problems: &mut Vec<Problem>,
    ) {
        let span = |start: usize, end: usize| Span { origin, start, end };
        let offset = self.key.len() + 1;
        let value_span = span(offset, offset + self.value.len());
        let Some(mut value) = self.read(value_span, budget, problems) else { return };
        let mut steps = Vec::new();
        if self.is_parameter {
            let key = span(0, self.key.len());
            steps.extend([("sweep", key), ("parameters", key), (self.key.as_str(), key)]);
            let values = Map::from([("values".to_owned(), Entry { key, node: value })]);
            value = Node::new(value_span, Value::Map(values));
        } else {
            let mut start = 0;
            for name in self.key.split('.') {
                steps.push((name, span(start, start + name.len())));
                start += name.len() + 1;
            }
        }
        if steps.len() + value.depth() > MAX_DEPTH {
            problems.push(too_deep(value_span));
        } else if let Some((_, empty)) = steps.iter().find(|(name, _)| name.is_empty()) {
            problems.push(
                Problem::at(*empty, "the key has an empty part")
                    .hint("write it as `stages.tuned.train.epochs`"),
            );
        } else if let Err(problem) =
            check_start(root, &steps).and_then(|()| set(root, &steps, value))
        {
            problems.push(problem);
        }
    }
}

impl Override {
    /// Reads the value: YAML, or a text as it is written. Nothing of it is left out silently.
    fn read(&self, span: Span, budget: &mut Budget, problems: &mut Vec<Problem>) -> Option<Node> {
        let as_written = |form: Form| Some(Node::scalar(span, self.value.as_str(), form));
        if self.value.is_empty() {
            return as_written(Form::Text);
        }
        let before = problems.len();
        let parsed = parse(&self.value, span.origin, span.start, budget, problems);
        if problems.len() > before {
            for problem in problems.iter_mut().skip(before).filter(|one| one.hint.is_none()) {
                problem.hint = Some(format!("to give a text, quote it: {}", self.quoted()));
            }
            return None;
        }
        let Some(node) = parsed.filter(|node| self.is_parameter || !self.is_plain(node)) else {
            // The shell removes quotes, so `-S name=7` may mean the text. A ` #` begins a comment
            // in a file alone.
            return as_written(Form::Loose);
        };
        if has_comment(&self.value) {
            let message = "a ` #` begins a comment here, so the rest would be left out";
            let hint = format!("quote the text that it is part of, such as {}", self.quoted());
            problems.push(Problem::at(span, message).hint(hint));
            return None;
        }
        Some(node)
    }

    /// Returns whether the value is a single text or number without quotes.
    fn is_plain(&self, node: &Node) -> bool {
        let is_plain = matches!(&node.value, Value::Scalar(scalar) if scalar.form == Form::Plain);
        // A tag says how the value is to be read.
        is_plain && !self.value.trim_start().starts_with('!')
    }

    /// Returns the override with its value as a quoted text, for a shell.
    fn quoted(&self) -> String {
        let value = if self.is_parameter { "\"VALUE\",\"VALUE\"" } else { "\"VALUE\"" };
        format!("`'{}={value}'`", self.key)
    }
}

/// Refuses an unknown top key or stage, since a later message would be harder to understand.
fn check_start(root: &Map, steps: &[(&str, Span)]) -> Result<(), Problem> {
    let Some((top, span)) = steps.first() else { return Ok(()) };
    if !format::KEYS.contains(top) {
        return Err(Problem::at(*span, format!("unknown key `{top}`")).maybe_hint(suggest::hint(
            top,
            "a pipeline file has",
            format::KEYS,
        )));
    }
    if *top == "stages"
        && let [_, (stage, span), _, ..] = steps
        && let Some(stages) = root.get("stages").and_then(|entry| entry.node.as_map())
        && !stages.contains_key(*stage)
    {
        return Err(Problem::at(*span, format!("unknown stage `{stage}`"))
            .maybe_hint(suggest::hint(stage, "the file has", stages.keys().map(String::as_str))));
    }
    Ok(())
}

/// Sets a value below a map and creates missing maps on the way. [`MAX_DEPTH`] limits the number of
/// steps.
fn set(map: &mut Map, steps: &[(&str, Span)], value: Node) -> Result<(), Problem> {
    let Some(((name, span), rest)) = steps.split_first() else { return Ok(()) };
    if rest.is_empty() {
        // An existing key keeps its position: the order of stages is the file's.
        map.insert((*name).to_owned(), Entry { key: *span, node: value });
        return Ok(());
    }
    let new = || Entry { key: *span, node: Node::new(*span, Value::Map(Map::new())) };
    let entry = map.entry((*name).to_owned()).or_insert_with(new);
    set_below(&mut entry.node, (*name, *span), rest, value)
}

/// Sets a value below the node at `path`.
fn set_below(
    node: &mut Node,
    path: (&str, Span),
    steps: &[(&str, Span)],
    value: Node,
) -> Result<(), Problem> {
    if node.is_null() {
        node.value = Value::Map(Map::new());
    }
    let found = node.describe();
    let Some(((next, next_span), rest)) = steps.split_first() else {
        *node = value;
        return Ok(());
    };
    let (name, span) = path;
    match &mut node.value {
        Value::Map(map) => set(map, steps, value),
        Value::List(items) => {
            let last = items.len().checked_sub(1);
            match next.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) => set_below(item, (*next, *next_span), rest, value),
                None => Err(Problem::at(
                    *next_span,
                    match last {
                        None => format!("`{name}` is an empty list, so it has no item `{next}`"),
                        Some(last) => {
                            format!("`{name}` is a list with the items 0 to {last}, found `{next}`")
                        }
                    },
                )),
            }
        }
        Value::Scalar(_) | Value::Broken => {
            Err(Problem::at(span, format!("`{name}` is {found}, so it has no key `{next}`"))
                .hint(format!("set `{name}` as a whole: `{name}={{ {next}: VALUE }}`")))
        }
    }
}
