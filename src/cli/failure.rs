//! Every error that ends a command, and the one place that turns it into lines of text.

use std::any::Any;
use std::error::Error;

use miette::Diagnostic;

use super::exit::Exit;
use crate::base::contain::message;
use crate::base::lack::{
    MEMORY_HINT, behind_panic, tells_of_memory, tells_of_room, tells_of_threads,
};
use crate::data::TableError;
use crate::engine::RuntimeError;
use crate::pipeline::SpecError;
use crate::results::compare::CompareError;
use crate::results::format::FormatError;
use crate::runner::{RunError, StageFailure};

/// An error that ends a command.
#[derive(Debug)]
pub enum Failure {
    /// Problems of a pipeline file, which are rendered with their source lines.
    Spec(Box<SpecError>),
    /// Stages that failed.
    Stages(Vec<StageFailure>),
    /// Anything else.
    Other { exit: Exit, error: Box<dyn Diagnostic + Send + Sync> },
}

impl Failure {
    /// Returns a usage error: nothing ran.
    pub fn usage(message: impl Into<String>, hint: Option<String>) -> Failure {
        Failure::plain(Exit::Usage, message, hint)
    }

    /// Returns an error that is a message and a hint.
    pub fn plain(exit: Exit, message: impl Into<String>, hint: Option<String>) -> Failure {
        Failure::Other { exit, error: Box::new(Plain { message: message.into(), hint }) }
    }

    /// Returns an internal error of the program.
    pub fn internal(payload: &(dyn Any + Send)) -> Failure {
        let text = message(payload);
        let (message, hint) = match behind_panic(&text) {
            Some(lack) => (format!("{lack}: {text}"), MEMORY_HINT),
            None => {
                (format!("internal error: {text}"), "this is a bug in `pipe`; please report it")
            }
        };
        let hint = Some(hint.to_owned());
        Failure::Other { exit: Exit::Failed, error: Box::new(Plain { message, hint }) }
    }

    /// Turns a failure before anything ran into a usage error.
    pub fn before_anything_ran(error: RunError) -> Failure {
        match error {
            RunError::Runtime(
                RuntimeError::Install { .. }
                | RuntimeError::Load { .. }
                | RuntimeError::Start(_)
                | RuntimeError::Io(_),
            ) => error.into(),
            error @ (RunError::Stage(_) | RunError::Config { .. } | RunError::Runtime(_)) => {
                Failure::Other { exit: Exit::Usage, error: Box::new(error) }
            }
            error => error.into(),
        }
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Spec(_) => Exit::Usage,
            Failure::Stages(_) => Exit::Failed,
            Failure::Other { exit, .. } => *exit,
        }
    }
}

/// A message with a hint.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
struct Plain {
    message: String,
    #[help]
    hint: Option<String>,
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Failure {
        Failure::Spec(Box::new(error))
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        let exit = match error {
            RunError::NoRun { .. } | RunError::ManyRuns { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        Failure::Other { exit, error: Box::new(error) }
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Failure {
        match error {
            // The user named this file; no file of the program is damaged.
            TableError::NotResults { .. } => {
                Failure::Other { exit: Exit::Usage, error: Box::new(error) }
            }
            error => RunError::from(error).into(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        RunError::from(error).into()
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Failure {
        let exit =
            if matches!(error, FormatError::NoColumn { .. }) { Exit::Usage } else { Exit::Failed };
        Failure::Other { exit, error: Box::new(error) }
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Failure {
        match error {
            CompareError::Format(error) => error.into(),
            error => Failure::Other { exit: Exit::Usage, error: Box::new(error) },
        }
    }
}

/// One line of an error: its kind and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Error(String),
    Cause(String),
    Hint(String),
}

impl Line {
    fn text(&self) -> &str {
        let (Line::Error(text) | Line::Cause(text) | Line::Hint(text)) = self;
        text
    }
}

/// Returns the way out of what the system says in these lines, where no hint has one. Some
/// libraries wrap an error without its system number, but all of them keep the message.
fn way_out(lines: &[Line], hints: &[String]) -> Option<String> {
    let full = if cfg!(windows) { 112 } else { 28 };
    // What a write beyond `ulimit -f` gives.
    let too_large = if cfg!(windows) { 223 } else { 27 };
    let told = |number: i32| {
        let message = std::io::Error::from_raw_os_error(number).to_string();
        lines.iter().any(|line| line.text().contains(&message))
    };
    let lacks = |line: &Line| tells_of_memory(line.text()) || tells_of_threads(line.text());
    match () {
        // A full disk is another matter.
        () if told(too_large) => Some(
            "the system limits how large a file may become; `ulimit -f` shows the limit and \
             raises it"
                .to_owned(),
        ),
        // The library is whole, whatever its own hint says.
        () if lines.iter().any(|line| tells_of_room(line.text())) => Some(MEMORY_HINT.to_owned()),
        () if !hints.is_empty() => None,
        () if told(full) => {
            Some("free some space; `pipe gc` removes cached results that no run uses".to_owned())
        }
        () if lines.iter().any(lacks) => Some(MEMORY_HINT.to_owned()),
        () => None,
    }
}

/// Returns the lines of an error: its message, its causes, and the hints along the chain.
pub fn lines(error: &dyn Diagnostic) -> Vec<Line> {
    let mut lines = vec![Line::Error(error.to_string())];
    let mut hints: Vec<String> = error.help().map(|help| help.to_string()).into_iter().collect();
    let mut last = error.to_string();
    let mut cause = |text: String, lines: &mut Vec<Line>| {
        // A message that already quotes its cause needs no repetition.
        if !last.contains(&text) {
            lines.push(Line::Cause(text.clone()));
        }
        last = text;
    };
    let mut current = error;
    while let Some(inner) = current.diagnostic_source() {
        cause(inner.to_string(), &mut lines);
        hints.extend(inner.help().map(|help| help.to_string()));
        current = inner;
    }
    let mut source: Option<&dyn Error> = current.source();
    while let Some(inner) = source {
        cause(inner.to_string(), &mut lines);
        source = inner.source();
    }
    if let Some(way_out) = way_out(&lines, &hints) {
        hints = vec![way_out];
    }
    let mut seen = std::collections::BTreeSet::new();
    lines.extend(hints.into_iter().filter(|hint| seen.insert(hint.clone())).map(Line::Hint));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error, Diagnostic)]
    #[error("cannot read the model")]
    #[diagnostic(help("fetch it again"))]
    struct Middle(#[source] std::io::Error);

    #[test]
    fn a_full_disk_has_a_way_out() {
        let full = || std::io::Error::from_raw_os_error(if cfg!(windows) { 112 } else { 28 });
        let wrapped = std::io::Error::other(format!("failed to write to file `a`: {}", full()));
        for error in [full(), wrapped] {
            let lines = lines(&RunError::from(error));
            let Some(Line::Hint(hint)) = lines.last() else { panic!("no hint: {lines:?}") };
            assert!(hint.starts_with("free some space"), "{lines:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn limits_of_the_system_have_a_way_out() {
        for (number, way) in [(27, "`ulimit -f`"), (12, "`ulimit -v`"), (11, "`ulimit -u`")] {
            let wrapped = std::io::Error::other(std::io::Error::from_raw_os_error(number));
            let lines = lines(&RunError::from(wrapped));
            assert!(
                matches!(lines.last(), Some(Line::Hint(hint)) if hint.contains(way)),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn an_error_tells_its_causes_and_the_way_out() {
        let middle = Middle(std::io::Error::other("the disk is gone"));
        let failure = RunError::from(StageFailure {
            stage: "tuned".into(),
            phase: crate::runner::Phase::During,
            error: Box::new(middle),
        });
        assert_eq!(
            lines(&failure),
            [
                Line::Error("stage `tuned` failed".into()),
                Line::Cause("cannot read the model".into()),
                Line::Cause("the disk is gone".into()),
                Line::Hint("fetch it again".into()),
            ]
        );
    }
}
