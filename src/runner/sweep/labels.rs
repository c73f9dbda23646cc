//! The trial and seed of an event.

use crate::base::report::Progress;
use crate::runner::observer::{Event, Observer};

/// Passes events on, with the trial and the seed before the stage's name.
pub(super) struct Labelled<'a> {
    pub observer: &'a dyn Observer,
    /// `trial 3, seed 13`.
    pub cell: String,
}

impl Labelled<'_> {
    fn label(&self, task: &str) -> String {
        format!("{}: {task}", self.cell)
    }
}

impl Observer for Labelled<'_> {
    fn event(&self, event: &Event<'_>) {
        match event.task() {
            Some(task) => self.observer.event(&event.with_task(&self.label(task))),
            None => self.observer.event(event),
        }
    }

    fn progress(&self, task: &str, progress: &Progress<'_>) {
        self.observer.progress(&self.label(task), progress);
    }
}
