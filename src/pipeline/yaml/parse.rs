//! From YAML to a tree of nodes, without recursion and within budgets.

use std::collections::HashMap;

use serde_yaml::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Tag};

use super::node::{Entry, Form, Map, Node, Scalar, Value};
use crate::pipeline::problem::problem::Problem;
use crate::pipeline::problem::source::Span;

/// The deepest nesting of lists and maps; a pipeline needs about ten.
pub(crate) const MAX_DEPTH: usize = 48;

/// The size that a file may reach through aliases and interpolations, in units of [`Node::weight`]:
/// about ten thousand stages.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Budget(usize);

impl Default for Budget {
    fn default() -> Budget {
        Budget(500_000)
    }
}

impl Budget {
    /// Subtracts `weight`; returns `false` if the budget is used up.
    pub(crate) fn take(&mut self, weight: usize) -> bool {
        let enough = weight <= self.0;
        self.0 = self.0.saturating_sub(weight);
        enough
    }
}

/// Reads one YAML document. `offset` is the start of `text` in the text that spans refer to.
/// Returns `None` without a usable tree; `problems` then holds the reason, except that an empty
/// text is not a problem here.
pub(crate) fn parse(
    text: &str,
    origin: usize,
    offset: usize,
    budget: &mut Budget,
    problems: &mut Vec<Problem>,
) -> Option<Node> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    // The builder counts lists and maps together; these limits only keep the parser's state small.
    options.flow_nesting_limit = MAX_DEPTH + 1;
    options.block_nesting_limit = MAX_DEPTH + 1;
    let mut builder = Builder {
        text,
        origin,
        offset,
        budget,
        problems,
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span.byte_range().unwrap_or(0..0)),
            Err(error) => Err(builder.syntax(&error)),
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            return None;
        }
    }
    builder.root
}

/// Returns whether a part of the text is a comment, which [`parse`] leaves out.
pub(in crate::pipeline) fn has_comment(text: &str) -> bool {
    let scalars: Vec<std::ops::Range<usize>> =
        Parser::new_from_str_with_options(text, Options::default())
            .filter_map(|event| match event {
                Ok((Event::Scalar(..), span)) => span.byte_range(),
                _ => None,
            })
            .collect();
    let begins = |at: usize| text[..at].chars().next_back().is_none_or(char::is_whitespace);
    let is_text = |at: usize| scalars.iter().any(|range| range.contains(&at));
    text.match_indices('#').any(|(at, _)| begins(at) && !is_text(at))
}

struct Builder<'a> {
    text: &'a str,
    origin: usize,
    offset: usize,
    budget: &'a mut Budget,
    problems: &'a mut Vec<Problem>,
    /// The open lists and maps.
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
}

struct Frame {
    anchor: usize,
    span: Span,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map {
        map: Map,
        /// The nodes merged with `<<`.
        merged: Vec<Node>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

enum Key {
    Named(String, Span),
    Merge,
    /// A key with a reported problem; its value is dropped.
    Dropped,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, range: std::ops::Range<usize>) -> Result<(), Problem> {
        let span = self.span(range.start, range.end);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let form = self.form(style, tag.as_deref(), span);
                self.spend(1 + text.len() / 32, span)?;
                let node = Node::new(span, Value::Scalar(Scalar::new(text.into_owned(), form)));
                self.finish(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(anchor, tag.as_deref(), "seq", span, Open::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let map = Open::Map { map: Map::new(), merged: Vec::new(), key: None };
                self.open(anchor, tag.as_deref(), "map", span, map)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(frame) => {
                    let span = Span { end: span.end.max(frame.span.start), ..frame.span };
                    let value = match frame.open {
                        Open::List(items) => Value::List(items),
                        Open::Map { map, merged, .. } => Value::Map(self.merge(map, merged)),
                    };
                    self.finish(Node::new(span, value), frame.anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let (weight, depth) = (node.weight(), node.depth());
                    // Checked before anything is copied: a few hundred bytes can expand to
                    // gigabytes.
                    self.spend(weight, span)?;
                    if self.stack.len() + depth > MAX_DEPTH {
                        return Err(too_deep(span));
                    }
                    match self.anchors.get(&anchor).cloned() {
                        Some(node) => self.accept(node),
                        None => Ok(()),
                    }
                }
                None => Err(Problem::at(span, "the alias is inside the value that it repeats")),
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Problem::at(span, "a second document starts here; expected one document")
                    .hint("put each pipeline in its own file"))
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        kind: &str,
        span: Span,
        open: Open,
    ) -> Result<(), Problem> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        if let Some(tag) = tag
            && tag.core_suffix() != Some(kind)
        {
            self.unknown_tag(tag, span);
        }
        self.spend(1, span)?;
        self.stack.push(Frame { anchor, span, open });
        Ok(())
    }

    /// Keeps a finished node for its aliases and adds it to the list or map around it.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            // The copy counts like an alias; otherwise anchors within anchors would take memory for
            // free.
            self.spend(node.weight(), node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.accept(node)
    }

    fn accept(&mut self, mut node: Node) -> Result<(), Problem> {
        let Some(Frame { open, .. }) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match open {
            Open::List(items) => items.push(node),
            Open::Map { map, merged, key } => match key.take() {
                Some(Key::Named(name, key)) => {
                    if node.span.start == node.span.end {
                        // An omitted value has no place of its own.
                        node.span = key;
                    }
                    map.insert(name, Entry { key, node });
                }
                Some(Key::Merge) => match node.value {
                    Value::List(items) => merged.extend(items),
                    _ => merged.push(node),
                },
                Some(Key::Dropped) => {}
                None => {
                    let (next, problem) = read_key(node, map);
                    *key = Some(next);
                    self.problems.extend(problem);
                }
            },
        }
        Ok(())
    }

    /// Adds the entries merged with `<<`; keys of the map itself and of earlier merges win.
    fn merge(&mut self, mut map: Map, merged: Vec<Node>) -> Map {
        for node in merged {
            match node.value {
                Value::Map(other) => {
                    for (key, entry) in other {
                        map.entry(key).or_insert(entry);
                    }
                }
                _ => self.problems.push(Problem::at(
                    node.span,
                    format!("`<<` expects a map or a list of maps, found {}", node.describe()),
                )),
            }
        }
        map
    }

    fn form(&mut self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Form {
        let form = if matches!(style, ScalarStyle::Plain) { Form::Plain } else { Form::Text };
        match tag.map(|tag| (tag, tag.core_suffix())) {
            None => form,
            Some((_, Some("str"))) => Form::Text,
            Some((_, Some("int" | "float" | "bool" | "null"))) => Form::Plain,
            // `!` alone marks a text.
            Some((tag, None)) if tag.handle().is_empty() && tag.suffix() == "!" => Form::Text,
            Some((tag, _)) => {
                self.unknown_tag(tag, span);
                form
            }
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span) {
        let tag = super::node::clip(&format!("{}{}", tag.handle(), tag.suffix()));
        self.problems.push(
            Problem::at(span, format!("the tag `{tag}` has no meaning in a pipeline"))
                .hint("remove it"),
        );
    }

    fn spend(&mut self, weight: usize, span: Span) -> Result<(), Problem> {
        if self.budget.take(weight) {
            return Ok(());
        }
        Err(Problem::at(span, "the file becomes too large once its aliases are filled in")
            .hint("aliases of aliases multiply; use `params` and `${params.NAME}` instead"))
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let start = error.marker().byte_offset().unwrap_or(0);
        let span = self.span(start, start + 1);
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            return too_deep(span);
        }
        let message = error.info();
        let message = message.trim_end_matches('.');
        let line_start =
            self.text[..self.text.floor_char_boundary(start)].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let open = self
            .stack
            .last()
            .filter(|frame| self.text[frame.span.start - self.offset..].starts_with(['{', '[']));
        let unclosed = matches!(
            error.kind(),
            ErrorKind::UnexpectedEofFlowSequence
                | ErrorKind::UnexpectedEofFlowMapping
                | ErrorKind::ExpectedFlowMappingSeparator
                | ErrorKind::ExpectedFlowSequenceSeparator
                | ErrorKind::UnclosedFlowCollection { .. }
        );
        let hint = match error.kind() {
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart => Some("indent with spaces"),
            ErrorKind::UnknownAnchor => {
                Some("an alias `*name` repeats the value marked with `&name` further up")
            }
            _ if line.contains("${") => {
                Some("within `{ }` and `[ ]` an interpolation needs quotes: `\"${params.NAME}\"`")
            }
            ErrorKind::SimpleKeyExpected => {
                Some("a key needs a colon and a space after it: `key: value`")
            }
            _ => None,
        };
        let problem = Problem::at(span, format!("broken YAML: {message}"))
            .maybe_hint(hint.map(str::to_owned));
        match open {
            Some(frame) if unclosed => problem.note(
                "the bracket was opened at",
                Span { end: frame.span.start + 1, ..frame.span },
            ),
            _ => problem,
        }
    }

    /// Makes a span and moves it to character boundaries of the text.
    fn span(&self, start: usize, end: usize) -> Span {
        let start = self.text.floor_char_boundary(start);
        let end = self.text.floor_char_boundary(end).max(start);
        Span { origin: self.origin, start: self.offset + start, end: self.offset + end }
    }
}

fn read_key(node: Node, map: &Map) -> (Key, Option<Problem>) {
    /// The most bytes of a key. YAML allows at most 1024 characters, escapes included, and the
    /// output of `Spec::resolved` must read back.
    const MAX_LENGTH: usize = 160;
    match node.value {
        Value::Scalar(scalar) if scalar.text.len() > MAX_LENGTH => {
            let message =
                format!("a key of {} bytes; expected at most {MAX_LENGTH}", scalar.text.len());
            (Key::Dropped, Some(Problem::at(node.span, message)))
        }
        Value::Scalar(scalar) if scalar.text == "<<" && scalar.form == Form::Plain => {
            (Key::Merge, None)
        }
        Value::Scalar(scalar) => match map.get(&scalar.text) {
            Some(first) => {
                let message = format!("the key `{}` occurs twice", super::node::clip(&scalar.text));
                (
                    Key::Dropped,
                    Some(
                        Problem::at(node.span, message)
                            .note("the first is at", first.key)
                            .hint("remove one of the two"),
                    ),
                )
            }
            None => (Key::Named(scalar.text, node.span), None),
        },
        _ => {
            let message = format!("a key must be a text, found {}", node.describe());
            (Key::Dropped, Some(Problem::at(node.span, message)))
        }
    }
}

pub(in crate::pipeline) fn too_deep(span: Span) -> Problem {
    Problem::at(span, format!("lists and maps are nested more than {MAX_DEPTH} deep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<serde_json::Value>, Vec<String>) {
        let mut problems = Vec::new();
        let node = parse(text, 0, 0, &mut Budget::default(), &mut problems);
        (
            node.map(|node| node.to_json()),
            problems.into_iter().map(|problem| problem.message).collect(),
        )
    }

    #[test]
    fn comments_are_told_from_texts() {
        for with in ["[a] #b", "'a' #b", "{ a: b } # c", "[a, #b\n c]", "#a", "a: b #c", "- a\t#b"]
        {
            assert!(has_comment(with), "{with:?}");
        }
        for without in ["[\"a #b\"]", "'a #b'", "[a#b]", "{ a: 'b # c' }", "a: 'b #c'", "[a, b]"] {
            assert!(!has_comment(without), "{without:?}");
        }
    }

    #[test]
    fn merges_and_aliases() {
        let (value, problems) = read("a: &a { x: 1, y: 2 }\nb: { <<: *a, y: 3 }\nc: *a\n");
        assert_eq!(problems, [""; 0]);
        let expected = serde_json::json!({
            "a": { "x": 1, "y": 2 },
            "b": { "y": 3, "x": 1 },
            "c": { "x": 1, "y": 2 },
        });
        assert_eq!(value, Some(expected));
    }

    #[test]
    fn tags_of_the_core_schema_count() {
        let (value, problems) = read("a: !!str 5\nb: !!int \"5\"\nc: !other 5\n");
        assert_eq!(value, Some(serde_json::json!({ "a": "5", "b": 5, "c": 5 })));
        assert_eq!(problems, ["the tag `!other` has no meaning in a pipeline"]);
    }

    #[test]
    fn an_alias_in_what_it_names_is_refused() {
        assert_eq!(read("a: &a [*a]").1, ["the alias is inside the value that it repeats"]);
    }

    #[test]
    fn a_big_text_counts_by_its_size() {
        let text = format!("- &a \"{}\"\n{}", "x".repeat(100_000), "- *a\n".repeat(10_000));
        assert_eq!(read(&text).1, ["the file becomes too large once its aliases are filled in"]);
    }
}
