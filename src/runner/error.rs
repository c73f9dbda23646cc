//! The errors of running a plan.

use std::error::Error;
use std::fmt;
use std::io;

use miette::Diagnostic;

use crate::data::TableError;
use crate::engine::RuntimeError;
use crate::stages::StageError;

/// A failure of the runner's own work, or of a stage.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum RunError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Stage(#[from] StageFailure),
    #[error("cannot write the configuration of stage `{stage}` as JSON: {reason}")]
    Config { stage: String, reason: String },
    #[error("there is no run `{name}` in `{folder}`")]
    NoRun {
        name: String,
        folder: String,
        #[help]
        hint: String,
    },
    #[error("`{name}` names {} runs: {}", found.len(), found.join(", "))]
    #[diagnostic(help("give more characters of the name"))]
    ManyRuns { name: String, found: Vec<String> },
    #[error("the table lacks the row of stage `{stage}` for trial {trial} and seed {seed}")]
    #[diagnostic(help("run the same command again; if this comes again, it is a bug in `pipe`"))]
    MissingRow { trial: usize, stage: String, seed: u64 },
    #[error("`{file}` is damaged: {reason}")]
    #[diagnostic(help("another version of `pipe` wrote it, or writing was cut off"))]
    Damaged { file: String, reason: String },
}

/// A stage that failed, with its own error behind it.
#[derive(Debug)]
pub struct StageFailure {
    /// The stage, with its seed if there are several.
    pub stage: String,
    pub phase: Phase,
    pub error: StageError,
}

/// The moment at which a stage failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before anything ran: a file that it needs is missing.
    Before,
    During,
    /// Its output cannot be read back.
    After,
}

impl fmt::Display for StageFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.phase {
            Phase::Before => write!(f, "stage `{}` cannot run", self.stage),
            Phase::During => write!(f, "stage `{}` failed", self.stage),
            Phase::After => write!(f, "the output of stage `{}` cannot be read", self.stage),
        }
    }
}

impl Error for StageFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

impl Diagnostic for StageFailure {
    fn diagnostic_source(&self) -> Option<&dyn Diagnostic> {
        Some(&*self.error)
    }
}

/// An output that does not stay in the cache as it was stored.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the output of stage `{stage}` does not stay in the cache as it is stored: {reason}")]
#[diagnostic(help(
    "run the same command again; if this comes again, another program changes `.pipe/cache`, or \
     the disk fails"
))]
pub struct OutputLost {
    pub stage: String,
    pub reason: String,
}
