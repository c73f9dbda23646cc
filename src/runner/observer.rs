//! The events of a run.

use serde::Serialize;

use crate::base::report::Progress;

/// Watches a run: the command line draws from it, and the run folder keeps its events. It is for
/// people only; nothing here may change a result.
pub trait Observer: Sync {
    /// Receives one event.
    fn event(&self, event: &Event<'_>);
    /// Receives the progress of a running task; `task` is its label. It is called often.
    fn progress(&self, task: &str, progress: &Progress<'_>) {
        let _ = (task, progress);
    }
}

/// An event of a run. A `task` is a stage's id, with its seed if there are several.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    RunStarted {
        run: &'a str,
        tasks: usize,
    },
    StageCached {
        task: &'a str,
        key: &'a str,
    },
    StageStarted {
        task: &'a str,
        key: &'a str,
    },
    StageFinished {
        task: &'a str,
        key: &'a str,
        seconds: f64,
    },
    StageFailed {
        task: &'a str,
        error: &'a str,
    },
    StageInterrupted {
        task: &'a str,
    },
    Note {
        task: &'a str,
        line: &'a str,
    },
    Warning {
        task: &'a str,
        line: &'a str,
    },
    RunFinished {
        run: &'a str,
        status: &'a str,
        seconds: f64,
    },
    /// A sweep begins, with at most `trials` trials, each for `seeds` seeds. `trainings` is their
    /// product, or `None` if trainings can end early.
    SweepStarted {
        run: &'a str,
        trials: usize,
        seeds: usize,
        trainings: Option<usize>,
    },
    /// A training of a trial for one seed begins; `epochs` is where it pauses, if it does.
    CellStarted {
        trial: usize,
        seed: u64,
        epochs: Option<u32>,
    },
    /// The training ended: it is done, or left to another process or a later attempt.
    CellFinished {
        trial: usize,
        seed: u64,
        is_done: bool,
    },
    /// A trial has its figure: the mean over the seeds, after `epochs` epochs or at the end.
    TrialFinished {
        trial: usize,
        values: &'a str,
        epochs: Option<u32>,
        figure: Option<f64>,
        error: Option<&'a str>,
        /// Whether nothing had to be computed.
        cached: bool,
        seconds: f64,
        /// The best completed trial so far, and its figure.
        best: Option<(usize, f64)>,
    },
}

impl<'a> Event<'a> {
    /// Returns the task of the event.
    pub fn task(&self) -> Option<&'a str> {
        match *self {
            Event::StageCached { task, .. }
            | Event::StageStarted { task, .. }
            | Event::StageFinished { task, .. }
            | Event::StageFailed { task, .. }
            | Event::StageInterrupted { task }
            | Event::Note { task, .. }
            | Event::Warning { task, .. } => Some(task),
            _ => None,
        }
    }

    /// Returns the same event with another task name.
    pub fn with_task<'b>(self, task: &'b str) -> Event<'b>
    where
        'a: 'b,
    {
        match self {
            Event::StageCached { key, .. } => Event::StageCached { task, key },
            Event::StageStarted { key, .. } => Event::StageStarted { task, key },
            Event::StageFinished { key, seconds, .. } => {
                Event::StageFinished { task, key, seconds }
            }
            Event::StageFailed { error, .. } => Event::StageFailed { task, error },
            Event::StageInterrupted { .. } => Event::StageInterrupted { task },
            Event::Note { line, .. } => Event::Note { task, line },
            Event::Warning { line, .. } => Event::Warning { task, line },
            other => other,
        }
    }
}

/// Passes everything on to two observers.
pub struct Both<'a>(pub &'a dyn Observer, pub &'a dyn Observer);

impl Observer for Both<'_> {
    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
        self.1.event(event);
    }

    fn progress(&self, task: &str, progress: &Progress<'_>) {
        self.0.progress(task, progress);
        self.1.progress(task, progress);
    }
}
