//! What a run tells while it goes on.

use serde::Serialize;

use crate::base::report::Progress;

/// Watches a run: the command line draws from it, the run folder keeps its events. For people only; nothing here may change a result.
pub trait Observer: Sync {
    /// Receives one event.
    fn event(&self, event: &Event<'_>);
    /// Receives where a running task stands; `task` is its label. Called often.
    fn progress(&self, task: &str, progress: &Progress<'_>) {
        let _ = (task, progress);
    }
}

/// Something that happened in a run. A `task` is a stage's id, with its seed where there are several.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    RunStarted { run: &'a str, tasks: usize },
    StageCached { task: &'a str, key: &'a str },
    StageStarted { task: &'a str, key: &'a str },
    StageFinished { task: &'a str, key: &'a str, seconds: f64 },
    StageFailed { task: &'a str, error: &'a str },
    StageInterrupted { task: &'a str },
    Note { task: &'a str, line: &'a str },
    Warning { task: &'a str, line: &'a str },
    RunFinished { run: &'a str, status: &'a str, seconds: f64 },
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
