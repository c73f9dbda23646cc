//! The error type of [`super::typing`].

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::pipeline::problem::source::Span;
use crate::pipeline::problem::suggest;
use crate::pipeline::yaml::node::{Scalar, clip};

/// The reason why a value could not be read.
#[derive(Debug)]
pub(in crate::pipeline) struct Fault {
    pub message: String,
    pub hint: Option<String>,
    /// The missing field, if that is the fault.
    pub missing: Option<&'static str>,
    /// The place of the fault, boxed to keep results small.
    pub place: Option<Box<Place>>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Place {
    /// The node's address; nodes do not move while they are read.
    pub address: usize,
    pub span: Span,
    /// The place of the node's key.
    pub key: Span,
    /// The place where the value is written, if an interpolation put it at `span`.
    pub from: Option<Span>,
}

impl Fault {
    pub(in crate::pipeline) fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), hint: None, missing: None, place: None }
    }

    /// Returns the fault "expected this, found that".
    pub(in crate::pipeline) fn expected(
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Fault {
        Fault::new(format!("expected {expected}, found {found}"))
    }

    pub(in crate::pipeline) fn hint(mut self, hint: Option<String>) -> Fault {
        self.hint = hint;
        self
    }

    /// Returns the fault of a number that would not arrive as it is written.
    pub(super) fn lost(scalar: &Scalar) -> Fault {
        let (text, why) = (clip(&scalar.text), scalar.loss().unwrap_or("it is no number"));
        Fault::new(format!("`{text}` cannot be kept as it is written: {why}"))
            .hint(Some(format!("quote it to keep it as a text: `\"{text}\"`")))
    }

    /// Returns the fault "unknown kind".
    pub(in crate::pipeline) fn unknown_kind(name: &str, known: &[&str]) -> Fault {
        let message = format!("unknown `{}`; expected {}", clip(name), one_of(known));
        let near = suggest::nearest(name, known.iter().copied());
        Fault::new(message).hint(near.map(|near| format!("did you mean `{near}`?")))
    }

    /// Adds the place, unless a deeper level has added one.
    pub(crate) fn at(mut self, place: Place) -> Fault {
        self.place.get_or_insert_with(|| Box::new(place));
        self
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault { missing: Some(field), ..Fault::new(format!("missing key `{field}`")) }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::expected(expected, describe(unexpected))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::expected(expected, describe(unexpected))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Fault {
        Fault::expected(expected, format_args!("{length} items"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Fault {
        Fault::unknown_kind(variant, expected)
    }
}

fn describe(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(text) => format!("the text `{}`", clip(text)),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}

/// Writes the alternatives.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [name] => format!("`{name}`"),
        _ => format!("one of {}", suggest::list(names)),
    }
}
