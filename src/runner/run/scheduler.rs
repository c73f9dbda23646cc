//! Runs tasks through the cache: ready ones, up to a number at a time, each once.

use std::any::Any;
use std::collections::BTreeSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::context::{Shelf, StageContext};
use super::interrupt::Interrupt;
use super::tasks::{Task, Tasks};
use crate::base::clock::Stopwatch;
use crate::base::contain::message;
use crate::base::digest::Digest;
use crate::base::lack::{MEMORY_HINT, behind_panic};
use crate::base::memo;
use crate::engine::Device;
use crate::runner::cache::cache::{Cache, Unread, boxed};
use crate::runner::cache::entry::{Depth, Done, Lookup};
use crate::runner::error::{OutputLost, Phase, StageFailure};
use crate::runner::job::Job;
use crate::runner::observer::{Event, Observer};
use crate::stages::contract::error::Interrupted;
use crate::stages::{Inputs, Kind, Output, StageError, hidden};

/// Runs the tasks of one run.
///
/// A task starts when all its inputs are available; of several ready tasks, the first in order
/// starts. The inputs of a task always come from the cache's files. So neither the number of
/// workers nor an earlier interruption can change a result.
pub(in crate::runner) struct Scheduler<'a> {
    pub jobs: &'a [Job<'a>],
    pub tasks: &'a Tasks,
    pub cache: &'a Cache,
    /// The folder that relative paths of the pipeline file start from.
    pub folder: &'a Path,
    /// The pipeline file, for the cache's records.
    pub pipeline: &'a str,
    pub device: Device,
    pub threads: usize,
    /// The number of tasks that run at a time.
    pub workers: usize,
    pub keep_going: bool,
    pub force: bool,
    /// The pieces of work that were made anew with `force`.
    pub renewed: Mutex<BTreeSet<Digest>>,
    /// The kinds whose records are read after the run, and which are therefore compared with their
    /// digests now.
    pub reads_records: fn(Kind) -> bool,
    pub interrupt: &'a Interrupt,
    pub observer: &'a dyn Observer,
}

/// The outcome of a task.
#[derive(Debug)]
pub enum Outcome {
    /// It did not start: an input failed, or the run stopped first.
    NotRun,
    Cached,
    Computed {
        seconds: f64,
    },
    Interrupted,
    Failed(StageFailure),
}

impl Outcome {
    /// Returns whether the output is available.
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

/// The shared state of the workers.
struct State {
    started: Vec<bool>,
    outcomes: Vec<Outcome>,
    running: usize,
    /// Whether no new task may start.
    stopped: bool,
    /// Artifacts in memory, each until its last reader has finished.
    loaded: Vec<Option<Arc<dyn Output>>>,
    readers: Vec<usize>,
}

impl Scheduler<'_> {
    /// Runs all tasks and returns their outcomes. Calls `finished` for each task whose output is
    /// available.
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
            for worker in 0..self.workers.clamp(1, count.max(1)) {
                let work = || self.work(&state, &changed, finished);
                // Without another thread the work is done by fewer, and if need be by this one.
                let started = std::thread::Builder::new().spawn_scoped(scope, work);
                if started.is_err() && worker == 0 {
                    work();
                }
            }
        });
        state.into_inner().unwrap_or_else(PoisonError::into_inner).outcomes
    }

    /// One worker: runs ready tasks until none is left.
    fn work(&self, state: &Mutex<State>, changed: &Condvar, finished: &(dyn Fn(usize) + Sync)) {
        while let Some(index) = self.next(state, changed) {
            let outcome = self.perform(index, state);
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

    /// Waits for a ready task; `None` if there will be no more.
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
            // The timeout is for interruptions, which notify nobody.
            let waited = changed.wait_timeout(state, Duration::from_millis(100));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn perform(&self, index: usize, state: &Mutex<State>) -> Outcome {
        let task = &self.tasks.all[index];
        let kind = self.jobs[task.job].output;
        let depth = match (self.reads_records)(kind) {
            true => kind.records.map_or(Depth::WHOLE, Depth::Digests),
            false => Depth::Sizes,
        };
        // A panic in a stage, or in a library below it, is an error of that stage and does not end
        // the program.
        let attempt = || self.attempt(task, depth, self.force, state);
        let attempt = catch_unwind(AssertUnwindSafe(attempt));
        match attempt.unwrap_or_else(|payload| Err(panicked(&*payload))) {
            Ok(outcome) => outcome,
            Err(error) if self.interrupt.is_asked() => {
                // Most failures now come from the same signal, such as a stopped `pip`. An
                // independent failure must still be seen.
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

    /// Finds the output of a task in the cache, or computes it. A cached one is looked at as
    /// closely as `depth` says, and counts for nothing with `force`.
    fn attempt(
        &self,
        task: &Task,
        depth: Depth,
        force: bool,
        state: &Mutex<State>,
    ) -> Result<Outcome, StageError> {
        let (label, key) = (task.label.as_str(), task.key.to_string());
        let cached = || {
            self.observer.event(&Event::StageCached { task: label, key: &key });
            Ok(Outcome::Cached)
        };
        if !force && self.cache.find(&task.key, depth).hit().is_some() {
            return cached();
        }
        let waiting = || {
            let line = "waiting for another process or stage that computes the same output";
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
        // Only the holder of the lock writes, so the entry cannot change from here on.
        match self.cache.find(&task.key, depth) {
            Lookup::Hit(_) if !force => return cached(),
            Lookup::Hit(_) | Lookup::Miss => {}
            Lookup::Unreadable(_) if force => self.cache.set_aside(&task.key).map_err(boxed)?,
            Lookup::Unreadable(error) => {
                return Err(Box::new(OutputUnreadable {
                    stage: self.jobs[task.job].id.clone(),
                    error: boxed(error),
                }));
            }
            Lookup::Damaged(reason) => {
                let line =
                    format!("the cached output is damaged ({reason}) and will be computed again");
                self.observer.event(&Event::Warning { task: label, line: &line });
                self.cache.set_aside(&task.key).map_err(boxed)?;
            }
        }
        self.observer.event(&Event::StageStarted { task: label, key: &key });
        let stopwatch = Stopwatch::start();
        let output = self.compute(task, force, state)?;
        let seconds = stopwatch.seconds();
        self.check_externals(task)?;
        let stage = &self.jobs[task.job].id;
        let about = Done::new(task.key, stage, self.pipeline, task.seed, seconds);
        self.cache.store(&task.key, &task.material, about, |folder| output.write(folder))?;
        if self.jobs[task.job].pauses().is_none() {
            self.cache.clear_scratch(&task.work_key).map_err(boxed)?;
        }
        self.observer.event(&Event::StageFinished { task: label, key: &key, seconds });
        Ok(Outcome::Computed { seconds })
    }

    fn compute(
        &self,
        task: &Task,
        force: bool,
        state: &Mutex<State>,
    ) -> Result<Arc<dyn Output>, StageError> {
        let job = &self.jobs[task.job];
        let mut inputs = Inputs::default();
        for (input, &from) in job.inputs.iter().zip(&task.inputs) {
            inputs.insert(input.field, self.load(from, state)?);
        }
        if force {
            // Earlier work is not resumed, because the user asked for a full computation.
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
            secrets: &job.secrets,
            own_secrets: &job.own_secrets,
            shelf: Shelf {
                cache: self.cache,
                material: &task.material,
                pipeline: self.pipeline,
                renewed: self.force.then_some(&self.renewed),
            },
        };
        job.stage.run(&context, &inputs).map_err(|error| hidden(error, &job.secrets))
    }

    /// Checks that the external files of the stage still match its key.
    fn check_externals(&self, task: &Task) -> Result<(), StageError> {
        let before = &task.material.externals;
        let now = memo::afresh(|| self.jobs[task.job].externals(self.folder, None));
        let secrets = &self.jobs[task.job].secrets;
        let now = now.map_err(|error| hidden(Box::new(ExternalGone { error }), secrets))?;
        match before.iter().find(|external| !now.contains(external)) {
            Some(changed) => Err(Box::new(ExternalChanged { name: changed.name.clone() })),
            None => Ok(()),
        }
    }

    /// Returns an input, from memory or from the cache's files. One that is lost by now, or
    /// damaged, is computed again.
    fn load(&self, index: usize, state: &Mutex<State>) -> Result<Arc<dyn Output>, StageError> {
        if let Some(output) = &lock(state).loaded[index] {
            return Ok(output.clone());
        }
        let task = &self.tasks.all[index];
        let job = &self.jobs[task.job];
        let mut attempts = 0;
        let output = loop {
            attempts += 1;
            match self.cache.read(job.output, &task.key) {
                Ok(output) => break output,
                Err(Unread::Lost(_)) if attempts < ATTEMPTS => {
                    // The locks are taken from a stage to its inputs, and never the other way.
                    match self.attempt(task, Depth::WHOLE, false, state)? {
                        Outcome::Interrupted => return Err(Box::new(Interrupted)),
                        outcome @ Outcome::Computed { .. } => lock(state).outcomes[index] = outcome,
                        _ => {}
                    }
                }
                Err(Unread::Lost(reason)) => {
                    return Err(Box::new(OutputLost { stage: job.id.clone(), reason }));
                }
                Err(Unread::Failed(error)) => {
                    return Err(Box::new(OutputUnreadable { stage: job.id.clone(), error }));
                }
            }
        };
        lock(state).loaded[index] = Some(output.clone());
        Ok(output)
    }
}

/// How often an output is read that was just found or written, and is lost each time.
const ATTEMPTS: usize = 3;

/// The output of a stage is as it was stored, and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the cached output of stage `{stage}`")]
pub(in crate::runner) struct OutputUnreadable {
    pub stage: String,
    pub error: StageError,
}

impl miette::Diagnostic for OutputUnreadable {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(
            "run the same command again; if that does not help, `pipe run --force` recomputes it",
        ))
    }

    fn diagnostic_source(&self) -> Option<&dyn miette::Diagnostic> {
        Some(&*self.error)
    }
}

/// The error for a file that changed between the computation of its digest and the end of the stage
/// that read it.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`{name}` changed while the stage ran")]
#[diagnostic(help(
    "the stage may have read either version, so its output was discarded; run the same command \
     again"
))]
struct ExternalChanged {
    name: String,
}

/// The error for a file that disappeared between the computation of its digest and the end of the
/// stage that read it.
#[derive(Debug, thiserror::Error)]
#[error("a file or model of the stage disappeared while it ran")]
struct ExternalGone {
    error: StageError,
}

impl miette::Diagnostic for ExternalGone {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(
            "the output was discarded; restore the file or model and run the same \
                       command again",
        ))
    }

    fn diagnostic_source(&self) -> Option<&dyn miette::Diagnostic> {
        Some(&*self.error)
    }
}

/// A stage panicked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("internal error: {message}")]
#[diagnostic(help("this is a bug in `pipe`; please report it with the pipeline file"))]
struct Panicked {
    message: String,
}

/// A stage panicked, since memory or threads ran out.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{lack}: {message}")]
#[diagnostic(help("{MEMORY_HINT}"))]
struct Lacking {
    lack: &'static str,
    message: String,
}

fn panicked(payload: &(dyn Any + Send)) -> StageError {
    let message = message(payload);
    match behind_panic(&message) {
        Some(lack) => Box::new(Lacking { lack, message }),
        None => Box::new(Panicked { message }),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
