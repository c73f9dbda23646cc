//! Runs tasks: what is ready, as many at a time as asked for, each once, through the cache.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::context::StageContext;
use super::interrupt::Interrupt;
use super::tasks::{Task, Tasks};
use crate::base::clock::Stopwatch;
use crate::engine::Device;
use crate::runner::cache::cache::{Cache, Done, Lookup, boxed};
use crate::runner::error::{Phase, StageFailure};
use crate::runner::job::Job;
use crate::runner::observer::{Event, Observer};
use crate::stages::contract::error::Interrupted;
use crate::stages::{Inputs, Output, StageError};

/// Runs the tasks of one run.
///
/// A task starts when all its inputs are there; among those that could start, the first in order
/// does. What a task reads comes from the cache's files, whether they were written a moment or a
/// month ago, so that neither the number of workers nor an earlier interruption can change a
/// result.
pub(in crate::runner) struct Scheduler<'a> {
    pub jobs: &'a [Job<'a>],
    pub tasks: &'a Tasks,
    pub cache: &'a Cache,
    /// What relative paths of the pipeline file start from.
    pub folder: &'a Path,
    /// The pipeline file, for the cache's records.
    pub pipeline: &'a str,
    pub device: Device,
    pub threads: usize,
    /// How many tasks run at a time.
    pub workers: usize,
    pub keep_going: bool,
    pub force: bool,
    pub interrupt: &'a Interrupt,
    pub observer: &'a dyn Observer,
}

/// How a task ended.
#[derive(Debug)]
pub enum Outcome {
    /// It did not start: something that it needs failed, or the run stopped before.
    NotRun,
    Cached,
    Computed {
        seconds: f64,
    },
    Interrupted,
    Failed(StageFailure),
}

impl Outcome {
    /// Says whether the output is there.
    pub fn is_done(&self) -> bool {
        matches!(self, Outcome::Cached | Outcome::Computed { .. })
    }

    /// Returns the name for records.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::NotRun => "not run",
            Outcome::Cached => "cached",
            Outcome::Computed { .. } => "computed",
            Outcome::Interrupted => "interrupted",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// What the workers share.
struct State {
    started: Vec<bool>,
    outcomes: Vec<Outcome>,
    running: usize,
    /// Nothing new starts.
    stopped: bool,
    /// Artifacts in memory, each until its last reader is through.
    loaded: Vec<Option<Arc<dyn Output>>>,
    readers: Vec<usize>,
}

impl Scheduler<'_> {
    /// Runs everything; returns how each task ended. `finished` is told of each task whose output
    /// is there.
    pub(in crate::runner) fn run(&self, finished: &(dyn Fn(usize) + Sync)) -> Vec<Outcome> {
        let count = self.tasks.all.len();
        let mut readers = vec![0; count];
        self.tasks.all.iter().flat_map(|task| &task.inputs).for_each(|&input| readers[input] += 1);
        let state = Mutex::new(State {
            started: vec![false; count],
            outcomes: (0..count).map(|_| Outcome::NotRun).collect(),
            running: 0,
            stopped: false,
            loaded: vec![None; count],
            readers,
        });
        let changed = Condvar::new();
        std::thread::scope(|scope| {
            for _ in 0..self.workers.clamp(1, count.max(1)) {
                scope.spawn(|| self.work(&state, &changed, finished));
            }
        });
        state.into_inner().unwrap_or_else(PoisonError::into_inner).outcomes
    }

    /// One worker: takes what is ready until there is nothing left to take.
    fn work(&self, state: &Mutex<State>, changed: &Condvar, finished: &(dyn Fn(usize) + Sync)) {
        while let Some(index) = self.next(state, changed) {
            let outcome = self.perform(&self.tasks.all[index], state);
            if outcome.is_done() {
                finished(index);
            }
            let mut state = lock(state);
            state.stopped |= match &outcome {
                Outcome::Failed(_) => !self.keep_going,
                Outcome::Interrupted => true,
                _ => false,
            };
            state.outcomes[index] = outcome;
            state.running -= 1;
            for &input in &self.tasks.all[index].inputs {
                state.readers[input] -= 1;
                if state.readers[input] == 0 {
                    state.loaded[input] = None;
                }
            }
            changed.notify_all();
        }
    }

    /// Waits for a task to be ready; `None` where no more will be.
    fn next(&self, state: &Mutex<State>, changed: &Condvar) -> Option<usize> {
        let mut state = lock(state);
        loop {
            if state.stopped || self.interrupt.is_asked() {
                return None;
            }
            let ready = self.tasks.all.iter().enumerate().find(|(index, task)| {
                !state.started[*index]
                    && task.inputs.iter().all(|&input| state.outcomes[input].is_done())
            });
            if let Some((index, _)) = ready {
                state.started[index] = true;
                state.running += 1;
                return Some(index);
            }
            if state.running == 0 {
                return None;
            }
            // The time limit is for the interruption, which wakes nobody.
            let waited = changed.wait_timeout(state, Duration::from_millis(100));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn perform(&self, task: &Task, state: &Mutex<State>) -> Outcome {
        // A mistake in one stage, or in a library below it, is an error of that stage and no end of
        // the program.
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(task, state)));
        match attempt
            .unwrap_or_else(|payload| Err(Box::new(Panicked { message: panic_message(&*payload) })))
        {
            Ok(outcome) => outcome,
            Err(error) if self.interrupt.is_asked() => {
                // What fails now is mostly cut off by the same signal, as a `pip` is; a failure of
                // its own must not go unseen.
                let own: &(dyn Error + 'static) = &*error;
                if !own.is::<Interrupted>() {
                    let causes = std::iter::successors(own.source(), |cause| (*cause).source());
                    let line = causes.fold(format!("while stopping: {error}"), |line, cause| {
                        format!("{line}: {cause}")
                    });
                    self.observer.event(&Event::Warning { task: &task.label, line: &line });
                }
                self.observer.event(&Event::StageInterrupted { task: &task.label });
                Outcome::Interrupted
            }
            Err(error) => {
                self.observer
                    .event(&Event::StageFailed { task: &task.label, error: &error.to_string() });
                Outcome::Failed(StageFailure {
                    stage: task.label.clone(),
                    phase: Phase::During,
                    error,
                })
            }
        }
    }

    fn attempt(&self, task: &Task, state: &Mutex<State>) -> Result<Outcome, StageError> {
        let (label, key) = (task.label.as_str(), task.key.to_string());
        let cached = || {
            self.observer.event(&Event::StageCached { task: label, key: &key });
            Ok(Outcome::Cached)
        };
        if !self.force && matches!(self.cache.find(&task.key), Lookup::Hit(_)) {
            return cached();
        }
        let waiting = || {
            let line = "waits for another that computes the same";
            self.observer.event(&Event::Note { task: label, line });
        };
        let held = self
            .cache
            .lock(&task.work_key, waiting, || self.interrupt.is_asked())
            .map_err(boxed)?;
        let Some(_held) = held else {
            self.observer.event(&Event::StageInterrupted { task: label });
            return Ok(Outcome::Interrupted);
        };
        // Only who holds the lock writes, so what is found now stays.
        match self.cache.find(&task.key) {
            Lookup::Hit(_) if !self.force => return cached(),
            Lookup::Hit(_) | Lookup::Miss => {}
            Lookup::Damaged(reason) => {
                let line = format!("the cached output is damaged ({reason}) and is computed again");
                self.observer.event(&Event::Warning { task: label, line: &line });
                self.cache.set_aside(&task.key).map_err(boxed)?;
            }
        }
        self.observer.event(&Event::StageStarted { task: label, key: &key });
        let stopwatch = Stopwatch::start();
        let output = self.compute(task, state)?;
        let seconds = stopwatch.seconds();
        self.check_externals(task)?;
        let about = Done::new(&self.jobs[task.job].id, self.pipeline, task.seed, seconds);
        self.cache.store(&task.key, &task.material, about, |folder| output.write(folder))?;
        if self.jobs[task.job].pauses().is_none() {
            self.cache.clear_scratch(&task.work_key).map_err(boxed)?;
        }
        self.observer.event(&Event::StageFinished { task: label, key: &key, seconds });
        Ok(Outcome::Computed { seconds })
    }

    fn compute(&self, task: &Task, state: &Mutex<State>) -> Result<Arc<dyn Output>, StageError> {
        let job = &self.jobs[task.job];
        let mut inputs = Inputs::default();
        for (input, &from) in job.inputs.iter().zip(&task.inputs) {
            inputs.insert(input.field, self.load(from, state)?);
        }
        if self.force {
            // Work from before is not resumed: the user asked for all of it.
            self.cache.clear_scratch(&task.work_key).map_err(boxed)?;
        }
        let context = StageContext {
            stage: &job.id,
            task: &task.label,
            seed: task.seed,
            folder: self.folder,
            scratch: self.cache.scratch(&task.work_key),
            device: job.device().unwrap_or(self.device),
            threads: self.threads,
            interrupt: self.interrupt,
            observer: self.observer,
        };
        job.stage.run(&context, &inputs)
    }

    /// Makes sure that what the stage read from outside is still what its key was made of.
    fn check_externals(&self, task: &Task) -> Result<(), StageError> {
        let before = &task.material.externals;
        let now = self.jobs[task.job].stage.externals(self.folder, None);
        let now = now.map_err(|error| -> StageError { Box::new(ExternalGone { error }) })?;
        match before.iter().find(|external| !now.contains(external)) {
            Some(changed) => Err(Box::new(ExternalChanged { name: changed.name.clone() })),
            None => Ok(()),
        }
    }

    /// Returns an input, from memory or from the cache's files.
    fn load(&self, index: usize, state: &Mutex<State>) -> Result<Arc<dyn Output>, StageError> {
        if let Some(output) = &lock(state).loaded[index] {
            return Ok(output.clone());
        }
        let task = &self.tasks.all[index];
        let unreadable = |damaged, error| -> StageError {
            Box::new(InputUnreadable { stage: task.label.clone(), damaged, error })
        };
        let entry =
            self.cache.entry(&task.key).ok_or_else(|| unreadable(false, Box::new(Vanished)))?;
        let read = (self.jobs[task.job].output.read)(&entry.output());
        let output = read.map_err(|error| {
            // Only what is not what was stored goes: a lack of memory or of rights says nothing
            // about the files.
            let damaged = entry.verify().is_ok_and(|problems| !problems.is_empty())
                && self.cache.set_aside(&task.key).is_ok();
            unreadable(damaged, error)
        })?;
        lock(state).loaded[index] = Some(output.clone());
        Ok(output)
    }
}

/// The output of an input stage cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the cached output of stage `{stage}`")]
struct InputUnreadable {
    stage: String,
    /// Whether its files are not what was stored; then they are out of the way.
    damaged: bool,
    error: StageError,
}

impl miette::Diagnostic for InputUnreadable {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(match self.damaged {
            true => {
                "it was damaged and is out of the way; run the same command again to compute it \
                 anew"
            }
            false => {
                "run the same command again; if that does not help, `--force` computes it anew"
            }
        }))
    }

    fn diagnostic_source(&self) -> Option<&dyn miette::Diagnostic> {
        Some(&*self.error)
    }
}

/// An entry that was there is no longer.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("it is no longer in the cache, or no longer whole")]
#[diagnostic(help("run the same command again to compute it anew"))]
pub(in crate::runner) struct Vanished;

/// A file changed between the moment when its digest was taken and the end of the stage that read
/// it.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`{name}` changed while the stage ran")]
#[diagnostic(help(
    "which of the two it read cannot be told, so nothing was stored; run the same command again"
))]
struct ExternalChanged {
    name: String,
}

/// A file that was there when its digest was taken is not there at the end of the stage that read
/// it.
#[derive(Debug, thiserror::Error)]
#[error("what the stage read cannot be found again after it ran")]
struct ExternalGone {
    error: StageError,
}

impl miette::Diagnostic for ExternalGone {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new("nothing was stored; bring it back and run the same command again"))
    }

    fn diagnostic_source(&self) -> Option<&dyn miette::Diagnostic> {
        Some(&*self.error)
    }
}

/// A stage panicked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("internal error: {message}")]
#[diagnostic(help("this is a mistake in `pipe`; please report it with the pipeline file"))]
struct Panicked {
    message: String,
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
