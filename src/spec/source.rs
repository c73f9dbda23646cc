//! The texts that a pipeline comes from: the file and the values of the command line.

use std::path::{Path, PathBuf};

use super::{Location, Override};

/// A stretch of one of the texts, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    /// Which text: 0 is the file, `n` the `n`th override.
    pub origin: usize,
    pub start: usize,
    pub end: usize,
}

/// The texts themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    path: PathBuf,
    texts: Vec<String>,
    /// What stands before each text on the command line.
    options: Vec<&'static str>,
}

impl Sources {
    /// Returns the texts of a file and of overrides.
    pub(super) fn new(path: &Path, file: String, overrides: &[Override]) -> Sources {
        let mut texts = vec![file];
        texts.extend(overrides.iter().map(Override::to_string));
        let mut options = vec![""];
        options.extend(overrides.iter().map(Override::option));
        Sources { path: path.to_owned(), texts, options }
    }

    /// Returns the file's path as the user gave it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the text that a span is of.
    pub(super) fn text(&self, span: Span) -> &str {
        self.texts.get(span.origin).map_or("", String::as_str)
    }

    /// Returns the stretch itself.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.text(span).get(span.start..span.end).unwrap_or("")
    }

    /// Returns where a span starts.
    pub(super) fn location(&self, span: Span) -> Location {
        let text = self.text(span);
        let before = &text[..text.floor_char_boundary(span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Location {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1,
        }
    }

    /// Returns what stands before a span's text on the command line.
    pub(super) fn option(&self, span: Span) -> &'static str {
        self.options.get(span.origin).copied().unwrap_or_default()
    }

    /// Names the place of a span for people: `exp.yaml:3:5`, or the override.
    pub(super) fn place(&self, span: Span) -> String {
        if span.origin == 0 {
            let Location { line, column } = self.location(span);
            format!("{}:{line}:{column}", self.path.display())
        } else {
            format!("{}{}", self.option(span), self.text(span))
        }
    }
}
