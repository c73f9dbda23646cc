//! The errors of stages.

use miette::Diagnostic;

use crate::model::source::reference::Reference;

/// Any error of a stage: its message, its `help` (the way out, shown as `hint:`) and its causes.
pub type StageError = Box<dyn miette::Diagnostic + Send + Sync + 'static>;

/// The work was stopped by the user.
#[derive(Clone, Copy, Debug, thiserror::Error, miette::Diagnostic)]
#[error("interrupted")]
#[diagnostic(help("run the same command again to resume"))]
pub struct Interrupted;

/// A problem in a stage's configuration that needs no run to be seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("{message}")]
pub struct CheckError {
    /// Where in the stage's configuration, as dotted keys below the kind: `split.test`. Empty for
    /// the whole stage.
    pub field: String,
    /// What is wrong, with what was expected.
    pub message: String,
    /// The way out.
    #[help]
    pub hint: Option<String>,
}

impl CheckError {
    /// Returns a problem without a hint.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> CheckError {
        CheckError { field: field.into(), message: message.into(), hint: None }
    }

    /// Returns the problem of a text that is no reference to a pretrained model; `None` if it is
    /// one.
    pub fn of_reference(field: &str, reference: &str) -> Option<CheckError> {
        let error = Reference::parse(reference).err()?;
        let hint = error.help().map(|hint| hint.to_string());
        Some(CheckError { field: field.to_owned(), message: error.to_string(), hint })
    }

    /// Adds the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> CheckError {
        self.hint = Some(hint.into());
        self
    }
}
