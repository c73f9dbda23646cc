//! What a run tells while it goes on.

use serde::Serialize;

use crate::base::report::Progress;

/// Watches a run: the command line draws from it, the run folder keeps its events. For people only;
/// nothing here may change a result.
pub trait Observer: Sync {
    /// Receives one event.
    fn event(&self, event: &Event<'_>);
    /// Receives where a running task stands; `task` is its label. Called often.
    fn progress(&self, task: &str, progress: &Progress<'_>) {
        let _ = (task, progress);
    }
}

/// Something that happened in a run. A `task` is a stage's id, with its seed where there are
/// several.
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
    /// A sweep begins, with at most so many trials, each for so many seeds. `trainings` is their
    /// number where none ends early.
    SweepStarted {
        run: &'a str,
        trials: usize,
        seeds: usize,
        trainings: Option<usize>,
    },
    /// A training of a trial for one seed begins; with `epochs`, up to there.
    CellStarted {
        trial: usize,
        seed: u64,
        epochs: Option<u32>,
    },
    /// It ended: done, or left to another process or to a later attempt.
    CellFinished {
        trial: usize,
        seed: u64,
        is_done: bool,
    },
    /// A trial has its figure: the mean over the seeds, after so many epochs or at the end.
    TrialFinished {
        trial: usize,
        values: &'a str,
        epochs: Option<u32>,
        figure: Option<f64>,
        error: Option<&'a str>,
        /// Whether nothing had to be computed.
        cached: bool,
        seconds: f64,
        /// The best trial that ran to its end so far, and its figure.
        best: Option<(usize, f64)>,
    },
}

impl<'a> Event<'a> {
    /// Returns the task that the event is of.
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

    /// Returns the same event of a task with another name.
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
