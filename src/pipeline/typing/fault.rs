//! The error type of [`super::typing`].

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::pipeline::problem::source::Span;
use crate::pipeline::problem::suggest;
use crate::pipeline::yaml::node::{Node, Scalar, clip};

/// The reason why a value could not be read.
#[derive(Debug)]
pub(in crate::pipeline) struct Fault {
    pub message: String,
    pub hint: Option<String>,
    /// The missing field, if that is the fault.
    pub missing: Option<&'static str>,
    /// The place of the fault, boxed to keep results small.
    pub place: Option<Box<Place>>,
    /// What was expected, without what was found.
    pub expected: Option<String>,
    /// Whether the message may quote the value.
    pub quotes: bool,
}

#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Place {
    /// The node's address; nodes do not move while they are read.
    pub address: usize,
    pub span: Span,
    /// The place of the node's key.
    pub key: Span,
    /// The place where the value is written, if an interpolation put it at `span`.
    pub from: Option<Span>,
    /// The name of the environment variable that gave the value, or a part of it.
    pub secret: Option<String>,
}

impl Place {
    /// Returns the place of a node with this key.
    pub(super) fn of(node: &Node, key: Span) -> Place {
        Place {
            address: std::ptr::from_ref(node) as usize,
            span: node.span,
            key,
            from: node.from,
            secret: node.secret_name().map(str::to_owned),
        }
    }
}

impl Fault {
    pub(in crate::pipeline) fn new(message: impl Into<String>) -> Fault {
        let message = message.into();
        Fault { message, hint: None, missing: None, place: None, expected: None, quotes: false }
    }

    /// Returns the fault "expected this, found that".
    pub(in crate::pipeline) fn expected(
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Fault {
        let (expected, found) = (expected.to_string(), found.to_string());
        let message = format!("expected {expected}, found {found}");
        Fault { expected: Some(expected), ..Fault::new(message) }
    }

    /// Marks a fault whose message quotes the value.
    pub(super) fn quoting(self) -> Fault {
        Fault { quotes: true, ..self }
    }

    /// Returns the message and the hint; without the value, if an environment variable gave it.
    pub(super) fn told(self) -> (String, Option<String>) {
        let secret = self.place.and_then(|place| place.secret).filter(|_| self.quotes);
        match (secret, self.expected) {
            (None, _) => (self.message, self.hint),
            (Some(name), Some(expected)) => {
                (format!("expected {expected}, found the value of `{}`", clip(&name)), None)
            }
            (Some(name), None) => {
                (format!("the value of `{}` cannot be used here", clip(&name)), None)
            }
        }
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
            .quoting()
    }

    /// Returns the fault "unknown kind".
    pub(in crate::pipeline) fn unknown_kind(name: &str, known: &[&str]) -> Fault {
        let message = format!("unknown `{}`; expected {}", clip(name), one_of(known));
        let near = suggest::nearest(name, known.iter().copied());
        let fault = Fault { expected: Some(one_of(known)), ..Fault::new(message) };
        fault.hint(near.map(|near| format!("did you mean `{near}`?")))
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
        Fault::new(message.to_string()).quoting()
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault { missing: Some(field), ..Fault::new(format!("missing key `{field}`")) }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::expected(expected, describe(unexpected)).quoting()
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::expected(expected, describe(unexpected)).quoting()
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Fault {
        Fault::expected(expected, format_args!("{length} items"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Fault {
        let hint = suggest::hint(field, "known keys are", expected.iter().copied());
        Fault::new(format!("unknown key `{}`", clip(field))).hint(hint)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Fault {
        Fault::unknown_kind(variant, expected).quoting()
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
