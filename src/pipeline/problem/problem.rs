//! One problem of a pipeline file.

use super::source::Span;
use crate::pipeline::problem::suggest;

/// One problem of a pipeline file: the message, the place, the hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The problem, with the expected and the found value.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
    /// The place; `None` for the file as a whole.
    pub(in crate::pipeline) span: Option<Span>,
    /// A related place with its description: "the first is at".
    pub(in crate::pipeline) note: Option<(&'static str, Span)>,
}

impl Problem {
    /// Returns a problem at a place.
    pub(in crate::pipeline) fn at(span: Span, message: impl Into<String>) -> Problem {
        Problem { message: message.into(), hint: None, span: Some(span), note: None }
    }

    /// Returns a problem of the file as a whole.
    pub(in crate::pipeline) fn of_file(message: impl Into<String>) -> Problem {
        Problem { message: message.into(), hint: None, span: None, note: None }
    }

    /// Adds a related place with its description.
    pub(in crate::pipeline) fn note(mut self, what: &'static str, span: Span) -> Problem {
        self.note = Some((what, span));
        self
    }

    /// Adds a hint.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        self.maybe_hint(Some(hint.into()))
    }

    /// Adds a hint if there is one.
    pub fn maybe_hint(mut self, hint: Option<String>) -> Problem {
        self.hint = hint;
        self
    }

    /// Adds "did you mean" if one of the candidates is similar to `name`, otherwise lists them
    /// after `what`.
    pub fn suggest<'a>(
        self,
        name: &str,
        what: &str,
        candidates: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Problem {
        self.maybe_hint(suggest::hint(name, what, candidates))
    }
}
