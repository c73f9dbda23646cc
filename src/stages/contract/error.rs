//! The errors of stages.

use std::error::Error;
use std::fmt;

use miette::Diagnostic;

use crate::base::secrets::Secrets;
use crate::model::source::reference::Reference;
use crate::text::Windows;

/// Any error of a stage: its message, its `help` (the way out, shown as `hint:`) and its causes.
pub type StageError = Box<dyn miette::Diagnostic + Send + Sync + 'static>;

/// The work was stopped by the user.
#[derive(Clone, Copy, Debug, thiserror::Error, miette::Diagnostic)]
#[error("interrupted")]
#[diagnostic(help("run the same command again to resume"))]
pub struct Interrupted;

/// Returns an error that tells nothing of the values of environment variables.
pub fn hidden(error: StageError, secrets: &Secrets) -> StageError {
    let (hidden, is_changed) = Hidden::of(&*error, secrets);
    if is_changed { Box::new(hidden) } else { error }
}

/// An error whose texts have names in place of the values of environment variables.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Hidden {
    message: String,
    help: Option<String>,
    source: Option<Box<Hidden>>,
}

impl Hidden {
    /// Returns the error, and whether a text of it had to be changed.
    fn of(error: &dyn Diagnostic, secrets: &Secrets) -> (Hidden, bool) {
        let (mut hidden, mut is_changed) = Hidden::of_text(&error.to_string(), secrets);
        if let Some(help) = error.help().map(|help| help.to_string()) {
            let told = secrets.hide(&help).into_owned();
            is_changed |= told != help;
            hidden.help = Some(told);
        }
        let source = match (error.diagnostic_source(), error.source()) {
            (Some(inner), _) => Some(Hidden::of(inner, secrets)),
            (None, Some(inner)) => Some(Hidden::of_cause(inner, secrets)),
            (None, None) => None,
        };
        hidden.link(source, is_changed)
    }

    fn of_cause(error: &dyn Error, secrets: &Secrets) -> (Hidden, bool) {
        let (hidden, is_changed) = Hidden::of_text(&error.to_string(), secrets);
        let source = error.source().map(|inner| Hidden::of_cause(inner, secrets));
        hidden.link(source, is_changed)
    }

    fn of_text(text: &str, secrets: &Secrets) -> (Hidden, bool) {
        let message = secrets.hide(text).into_owned();
        let is_changed = message != text;
        (Hidden { message, help: None, source: None }, is_changed)
    }

    fn link(mut self, source: Option<(Hidden, bool)>, is_changed: bool) -> (Hidden, bool) {
        let below = source.as_ref().is_some_and(|(_, is_changed)| *is_changed);
        self.source = source.map(|(source, _)| Box::new(source));
        (self, is_changed || below)
    }
}

impl Diagnostic for Hidden {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn diagnostic_source(&self) -> Option<&dyn Diagnostic> {
        self.source.as_deref().map(|source| source as &dyn Diagnostic)
    }
}

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

    /// Returns the problem of windows that would not move on within so many tokens; `None` if they
    /// do.
    pub fn of_windows(field: &str, windows: Windows, length: usize) -> Option<CheckError> {
        let (most, found) = (length.saturating_sub(2), windows.stride);
        let error = CheckError::new(field, format!("expected less than {most}, found {found}"));
        let hint = "a window of `max_length` tokens has to go on beyond what it repeats";
        (found >= most).then(|| error.hint(hint))
    }

    /// Returns the problem of a number of folds that leaves nothing to be predicted; `None` if
    /// there is none.
    pub fn of_folds(field: &str, folds: Option<usize>) -> Option<CheckError> {
        let found = folds.filter(|folds| *folds < 2)?;
        let error = CheckError::new(field, format!("expected at least 2 folds, found {found}"));
        Some(error.hint("each text is predicted by a model that has not seen it"))
    }

    /// Adds the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> CheckError {
        self.hint = Some(hint.into());
        self
    }
}
