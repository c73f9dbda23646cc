//! One thing that is wrong with a pipeline file.

use super::source::Span;
use crate::pipeline::problem::suggest;

/// One thing that is wrong with a pipeline file: the message, the place, the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with what was expected and what was found.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// Where; `None` for the file as a whole.
    pub(in crate::pipeline) span: Option<Span>,
    /// Another place that belongs to it, after what it is: "the first is at".
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

    /// Adds another place after what it is.
    pub(in crate::pipeline) fn note(mut self, what: &'static str, span: Span) -> Problem {
        self.note = Some((what, span));
        self
    }

    /// Adds the way out.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        self.maybe_hint(Some(hint.into()))
    }

    /// Adds the way out where there is one.
    pub fn maybe_hint(mut self, hint: Option<String>) -> Problem {
        self.hint = hint;
        self
    }

    /// Adds "did you mean" where one of the candidates is like `name`, or else lists them after
    /// `what`.
    pub fn suggest<'a>(
        self,
        name: &str,
        what: &str,
        candidates: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Problem {
        self.maybe_hint(suggest::hint(name, what, candidates))
    }
}
