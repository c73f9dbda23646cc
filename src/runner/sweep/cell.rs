//! One cell of a sweep: a trial for one seed, up to a number of epochs.

use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::common::Common;
use super::labels::Labelled;
use super::trial::{Body, Trial};
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::files::write_atomic;
use crate::base::lack::tells_of_memory;
use crate::base::report::Silent;
use crate::data::Tag;
use crate::engine::Device;
use crate::results::row::ResultRow;
use crate::runner::cache::cache::Cache;
use crate::runner::cache::lock::KeyLock;
use crate::runner::error::RunError;
use crate::runner::job::{Job, jobs};
use crate::runner::observer::Observer;
use crate::runner::record::provenance::StageRecord;
use crate::runner::run::interrupt::Interrupt;
use crate::runner::run::outputs;
use crate::runner::run::scheduler::{Outcome, Scheduler};
use crate::runner::run::tasks::Tasks;
use crate::search::Request;
use crate::search::config::Metric;

/// A trial for one seed, up to the requested number of epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub request: Request,
    pub seed: u64,
}

/// The outcome of a cell.
#[derive(Debug)]
pub(super) enum Ended {
    Done(Box<Finished>),
    /// Another worker or process computes the same work.
    Elsewhere,
    Interrupted,
}

/// The results of a cell.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub rows: Vec<ResultRow>,
    /// The figure that the search optimises.
    pub figure: Option<f64>,
    pub records: Vec<StageRecord>,
    /// Whether nothing had to be computed.
    pub cached: bool,
    pub error: Option<String>,
    /// All models that it uses, and those that were just trained for it.
    pub all_models: Vec<Digest>,
    pub models: Vec<Model>,
    /// The keys of unfinished state that is kept for a longer training.
    pub work_keys: Vec<Digest>,
}

/// A stored model, whose files may be removed except its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub key: Digest,
    /// See [`crate::stages::Kind::records`].
    pub records: &'static [&'static str],
}

/// A failure, recorded so that another process on the same sweep does not repeat it.
#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    time: String,
    error: String,
}

/// Runs cells.
pub(super) struct Runner<'a> {
    pub common: &'a Common<'a>,
    pub run: &'a str,
    pub interrupt: &'a Interrupt,
    pub observer: &'a dyn Observer,
    /// The start of this attempt; older failures are tried again.
    pub started: Timestamp,
}

impl Runner<'_> {
    /// Runs a cell, or reads its cached results.
    pub(super) fn run(&self, trial: &Trial, cell: Cell, device: Device) -> Ended {
        let body = match &trial.body {
            Ok(body) => body,
            Err(reason) => return self.failed(Finished::default(), reason.clone()),
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(trial, body, cell, device) {
                // Another sweep may have dropped a model after it was found and before it was read.
                Ok(Attempt::Vanished(..)) if attempts < 3 => {}
                Ok(Attempt::Vanished(finished, error)) => return self.failed(*finished, error),
                Ok(Attempt::Ended(ended)) => return ended,
                Err(error) => return self.failed(Finished::default(), chain(&error)),
            }
        }
    }

    fn attempt(
        &self,
        trial: &Trial,
        body: &Body,
        cell: Cell,
        device: Device,
    ) -> Result<Attempt, RunError> {
        let metric = self.common.metric().map(|(metric, _)| metric);
        let plan = body.plan(metric, cell.request.epochs);
        let jobs = jobs(&plan)?;
        let tasks = self.common.tasks(&jobs, &[cell.seed], Some(&Silent))?;
        let work = Work { trial, body, cell, jobs: &jobs, tasks: &tasks, metric };
        let cache = &self.common.ground.cache;
        // Finished evaluations need nothing upstream: their models may be gone from the cache.
        let missing: Vec<usize> = (0..jobs.len())
            .filter(|&job| is_target(&jobs[job], metric))
            .filter(|&job| {
                let key = tasks.index(job, cell.seed).map(|task| tasks.all[task].key);
                key.is_none_or(|key| cache.records(jobs[job].output, &key).is_none())
            })
            .collect();
        if missing.is_empty() {
            let finished = self.gather(&work, &[]);
            return Ok(Attempt::Ended(Ended::Done(Box::new(finished))));
        }
        let claim = work.claim();
        let Some(_held) = KeyLock::try_acquire(&self.lock(&claim))? else {
            return Ok(Attempt::Ended(Ended::Elsewhere));
        };
        if let Some(error) = self.recent_failure(&claim) {
            let finished = self.gather(&work, &[]);
            return Ok(Attempt::Ended(self.failed(finished, error)));
        }
        let labelled = Labelled {
            observer: self.observer,
            cell: format!("trial {}, seed {}", trial.number, cell.seed),
        };
        let wanted: Vec<&str> = missing.iter().map(|&job| jobs[job].id.as_str()).collect();
        let needed = plan.for_stages(|step| wanted.contains(&step.id.0.as_str()));
        let run_jobs = crate::runner::job::jobs(&needed)?;
        let run_tasks = self.common.tasks(&run_jobs, &[cell.seed], Some(&Silent))?;
        self.common.ground.check_runtime(&run_jobs)?;
        let scheduler = Scheduler {
            jobs: &run_jobs,
            tasks: &run_tasks,
            cache,
            folder: &self.common.pipeline.folder,
            pipeline: &self.common.ground.file,
            device,
            threads: self.common.settings.threads,
            workers: 1,
            keep_going: true,
            force: false,
            interrupt: self.interrupt,
            observer: &labelled,
        };
        let outcomes = scheduler.run(&|_| ());
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Interrupted))
            || self.interrupt.is_asked()
        {
            return Ok(Attempt::Ended(Ended::Interrupted));
        }
        let failure = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Failed(failure) => Some(chain(failure)),
            _ => None,
        });
        let computed: Vec<(Digest, f64)> = outcomes
            .iter()
            .zip(&run_tasks.all)
            .filter_map(|(outcome, task)| match outcome {
                Outcome::Computed { seconds } => Some((task.key, *seconds)),
                _ => None,
            })
            .collect();
        let finished = self.gather(&work, &computed);
        match failure {
            Some(error) if has_vanished(cache, &outcomes, &run_tasks) => {
                Ok(Attempt::Vanished(Box::new(finished), error))
            }
            Some(error) => {
                let record = Failure { time: clock::text(clock::now_utc()), error: error.clone() };
                write_atomic(
                    &self.failure(&claim),
                    &serde_json::to_vec(&record).map_err(std::io::Error::from)?,
                )?;
                Ok(Attempt::Ended(self.failed(finished, error)))
            }
            None => Ok(Attempt::Ended(Ended::Done(Box::new(finished)))),
        }
    }

    /// Ends a cell with an error.
    fn failed(&self, finished: Finished, error: String) -> Ended {
        Ended::Done(Box::new(Finished { error: Some(error), figure: None, ..finished }))
    }

    /// Reads the available results of a cell.
    fn gather(&self, work: &Work<'_>, computed: &[(Digest, f64)]) -> Finished {
        let Work { trial, body, cell, jobs, tasks, metric } = *work;
        let cache = &self.common.ground.cache;
        let mut finished = Finished { cached: computed.is_empty(), ..Finished::default() };
        let number = Some(trial.number as u64);
        for (index, job) in jobs.iter().enumerate() {
            let Some(task) = tasks.index(index, cell.seed).map(|task| &tasks.all[task]) else {
                continue;
            };
            let seconds =
                computed.iter().find(|(key, _)| *key == task.key).map(|(_, seconds)| *seconds);
            if job.pauses().is_some() {
                finished.work_keys.push(task.work_key);
            }
            if let Some(records) = job.output.records {
                let model = Model { key: task.key, records };
                finished.all_models.push(task.key);
                finished.models.extend(seconds.map(|_| model));
            }
            let is_score = job.output.has_scores();
            let named = metric.and_then(Metric::parts).filter(|(stage, _)| *stage == job.id);
            // Upstream outputs are looked up only if they were just computed; older ones may be
            // gone, and are not needed.
            let entry = if is_score || named.is_some() {
                cache.records(job.output, &task.key)
            } else {
                None
            };
            let is_there = entry.is_some() || seconds.is_some();
            finished.records.push(StageRecord {
                stage: job.id.clone(),
                trial: number,
                seed: cell.seed,
                key: task.key,
                inputs: job.inputs_by_field(jobs),
                outcome: match (seconds, is_there || !is_score) {
                    (Some(_), _) => "computed",
                    (None, true) => "cached",
                    (None, false) => "not run",
                }
                .to_owned(),
                seconds,
            });
            let Some(entry) = entry else { continue };
            if let Some((_, name)) = named {
                let read = job
                    .stage
                    .figures()
                    .and_then(|figures| (figures.read)(&entry.output(), name).ok().flatten());
                finished.figure = read.filter(|value| value.is_finite());
            }
            if let Some(scores) = job.output.scores
                && let Ok(summary) = (scores.summary)(&entry.output())
            {
                let tag = Tag { stage: job.id.clone(), trial: number, seed: cell.seed };
                let row = outputs::row(self.run, &self.common.pipeline, &tag, &summary);
                let stopped_epoch = cell.request.epochs.map(u64::from);
                finished.rows.push(ResultRow { params: body.params.clone(), stopped_epoch, ..row });
            }
        }
        if let Some(metric) = metric.filter(|_| finished.figure.is_none()) {
            finished.error = Some(format!("`{}` is undefined for this trial", metric.name));
        }
        finished
    }

    fn lock(&self, claim: &Digest) -> PathBuf {
        self.common.ground.project.state().join("locks").join(format!("cell-{claim}"))
    }

    fn failure(&self, claim: &Digest) -> PathBuf {
        self.common.ground.project.state().join("failed").join(format!("{claim}.json"))
    }

    /// Returns the error of a cell that failed since this sweep began.
    fn recent_failure(&self, claim: &Digest) -> Option<String> {
        let failure: Failure = serde_json::from_slice(&fs::read(self.failure(claim)).ok()?).ok()?;
        let time: Timestamp = failure.time.parse().ok()?;
        (time >= self.started).then_some(failure.error)
    }
}

/// The interval between checks of a cell that is computed elsewhere.
pub(super) const ELSEWHERE: Duration = Duration::from_millis(200);

/// A cell with its planned tasks.
struct Work<'a> {
    trial: &'a Trial,
    body: &'a Body,
    cell: Cell,
    jobs: &'a [Job<'a>],
    tasks: &'a Tasks,
    metric: Option<&'a Metric>,
}

impl Work<'_> {
    /// Identifies the cell by the keys of its outputs, independent of the trial's number.
    fn claim(&self) -> Digest {
        let targets = (0..self.jobs.len()).filter(|&job| is_target(&self.jobs[job], self.metric));
        let keys: Vec<String> = targets
            .filter_map(|job| {
                Some(self.tasks.all[self.tasks.index(job, self.cell.seed)?].key.to_string())
            })
            .collect();
        Digest::of(keys.join(" ").as_bytes())
    }
}

/// The outcome of an attempt at a cell.
enum Attempt {
    Ended(Ended),
    /// An output disappeared during the attempt.
    Vanished(Box<Finished>, String),
}

/// Returns whether an output that was cached, or was just written, is gone.
fn has_vanished(cache: &Cache, outcomes: &[Outcome], tasks: &Tasks) -> bool {
    outcomes
        .iter()
        .zip(&tasks.all)
        .any(|(outcome, task)| outcome.is_done() && cache.entry(&task.key).is_none())
}

/// Returns whether the output of this stage is a result of the cell.
fn is_target(job: &Job<'_>, metric: Option<&Metric>) -> bool {
    let named = metric.and_then(Metric::parts).is_some_and(|(stage, _)| stage == job.id);
    job.output.has_scores() || named
}

/// Joins an error and its causes into one line, and names a lack of memory.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let line = crate::base::chain::chain(error);
    match tells_of_memory(&line) {
        true => format!("out of memory (a shorter `max_length` or `freeze` uses less): {line}"),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_called_that() {
        let told = |text: &str| chain(&std::io::Error::other(text.to_owned()));
        for text in [
            "std::bad_alloc",
            "CUDA failure 2: out of memory",
            "BFCArena::AllocateRawInternal Failed",
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        ] {
            assert!(told(text).starts_with("out of memory"), "{text}");
        }
        assert_eq!(told("the loss is\nNaN"), "the loss is NaN");
    }
}
