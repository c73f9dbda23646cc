//! The source texts of a pipeline: the file and the values of the command line.

use std::path::{Path, PathBuf};

/// A place in the pipeline file; both numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub line: usize,
    /// In characters.
    pub column: usize,
}

/// A range of one of the texts, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text: 0 is the file, `n` the `n`th override.
    pub origin: usize,
    pub start: usize,
    pub end: usize,
}

/// The source texts.
#[derive(Clone, Debug, Default)]
pub(in crate::pipeline) struct Sources {
    path: PathBuf,
    texts: Vec<String>,
    /// The option before each text on the command line.
    options: Vec<&'static str>,
}

impl Sources {
    /// Returns the texts of a file and of the command line, each of those behind its option.
    pub(crate) fn new(path: &Path, file: String, values: Vec<(&'static str, String)>) -> Sources {
        let (mut options, mut texts) = (vec![""], vec![file]);
        for (option, text) in values {
            options.push(option);
            texts.push(text);
        }
        Sources { path: path.to_owned(), texts, options }
    }

    /// Returns the file's path as the user gave it.
    pub(in crate::pipeline) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the whole text of a span.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.texts.get(span.origin).map_or("", String::as_str)
    }

    /// Returns the range of a span.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text(span).get(span.start..span.end).unwrap_or("")
    }

    /// Returns the start of a span.
    pub(crate) fn location(&self, span: Span) -> Location {
        let text = self.text(span);
        let before = &text[..text.floor_char_boundary(span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Location {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1,
        }
    }

    /// Returns the option before a span's text on the command line.
    pub(crate) fn option(&self, span: Span) -> &'static str {
        self.options.get(span.origin).copied().unwrap_or_default()
    }

    /// Writes the place of a span for messages: `exp.yaml:3:5`, or the override.
    pub(crate) fn place(&self, span: Span) -> String {
        if span.origin == 0 {
            let Location { line, column } = self.location(span);
            format!("{}:{line}:{column}", self.path.display())
        } else {
            format!("{}{}", self.option(span), self.text(span))
        }
    }
}
