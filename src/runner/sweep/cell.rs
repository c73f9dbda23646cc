//! One cell of a sweep: a trial for one seed, up to a number of epochs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::common::Common;
use super::labels::Labelled;
use super::trial::{Body, Trial};
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::files::write_atomic;
use crate::base::lack::tells_of_memory;
use crate::base::report::Silent;
use crate::base::sealed;
use crate::dag::plan::Plan;
use crate::data::Tag;
use crate::engine::Device;
use crate::results::row::ResultRow;
use crate::runner::cache::cache::Unread;
use crate::runner::cache::entry::Lookup;
use crate::runner::cache::lock::{CollectLock, KeyLock};
use crate::runner::error::{OutputLost, RunError};
use crate::runner::job::{Job, jobs};
use crate::runner::observer::Observer;
use crate::runner::project::Project;
use crate::runner::record::provenance::{NOT_NEEDED, StageRecord};
use crate::runner::record::run_folder::RunFolder;
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
    /// Makes the records of two attempts differ.
    attempt: String,
    error: String,
}

/// Runs cells.
pub(super) struct Runner<'a> {
    pub common: &'a Common<'a>,
    pub run: &'a str,
    pub interrupt: &'a Interrupt,
    pub observer: &'a dyn Observer,
    pub folder: &'a RunFolder,
    /// See [`noted_failures`]; what failed before this attempt is tried again.
    pub old_failures: BTreeSet<Digest>,
}

impl Runner<'_> {
    /// Runs a cell, or reads its cached results.
    pub(super) fn run(&self, trial: &Trial, cell: Cell, device: Device) -> Ended {
        let body = match &trial.body {
            Ok(body) => body,
            Err(reason) => return self.failed(Finished::default(), reason.clone()),
        };
        match self.attempt(trial, body, cell, device) {
            Ok(ended) => ended,
            Err(error) => self.failed(Finished::default(), chain(&error)),
        }
    }

    fn attempt(
        &self,
        trial: &Trial,
        body: &Body,
        cell: Cell,
        device: Device,
    ) -> Result<Ended, RunError> {
        let metric = self.common.metric().map(|(metric, _)| metric);
        let plan = body.plan(metric, cell.request.epochs);
        let jobs = jobs(&plan)?;
        let tasks = self.common.tasks(&jobs, &[cell.seed], Some(&Silent))?;
        let work = Work { trial, body, cell, jobs: &jobs, tasks: &tasks, metric };
        // Unfinished trainings are kept under the keys of the full ones.
        self.folder.uses(tasks.all.iter().flat_map(|task| [task.key, task.work_key]))?;
        let mut done = BTreeMap::new();
        // Finished evaluations need nothing upstream: their models may be gone from the cache.
        let Gathered { finished, lost } = self.gather(&work, &done);
        if lost.is_empty() {
            return Ok(Ended::Done(Box::new(finished)));
        }
        let claim = work.claim();
        let Some(_held) = KeyLock::try_acquire(&self.lock(&claim))? else {
            return Ok(Ended::Elsewhere);
        };
        let mut lost = lost;
        // Another sweep or program may take away again what was just computed.
        for _ in 0..ATTEMPTS {
            if let Some(error) = self.new_failure(&claim) {
                return Ok(self.failed(self.gather(&work, &done).finished, error));
            }
            let ended = self.compute(&work, &plan, &lost, device, &mut done)?;
            let gathered = self.gather(&work, &done);
            match ended {
                Computed::Interrupted => return Ok(Ended::Interrupted),
                Computed::Failed(error) => {
                    self.note_failure(&claim, &error)?;
                    return Ok(self.failed(gathered.finished, error));
                }
                Computed::Whole if gathered.lost.is_empty() => {
                    return Ok(Ended::Done(Box::new(gathered.finished)));
                }
                Computed::Whole => lost = gathered.lost,
            }
        }
        let (job, reason) = lost.into_iter().next().unwrap_or_default();
        let stage = jobs.get(job).map(|job| job.id.clone()).unwrap_or_default();
        let finished = self.gather(&work, &done).finished;
        Ok(self.failed(finished, chain(&OutputLost { stage, reason })))
    }

    /// Computes the lost outputs of a cell, and what they need. Adds to `done` what was found and,
    /// with its seconds, what was computed.
    fn compute(
        &self,
        work: &Work<'_>,
        plan: &Plan,
        lost: &[(usize, String)],
        device: Device,
        done: &mut BTreeMap<Digest, Option<f64>>,
    ) -> Result<Computed, RunError> {
        let labelled = Labelled {
            observer: self.observer,
            cell: format!("trial {}, seed {}", work.trial.number, work.cell.seed),
        };
        let wanted: Vec<&str> = lost.iter().map(|(job, _)| work.jobs[*job].id.as_str()).collect();
        let needed = plan.for_stages(|step| wanted.contains(&step.id.0.as_str()));
        let jobs = crate::runner::job::jobs(&needed)?;
        let tasks = self.common.tasks(&jobs, &[work.cell.seed], Some(&Silent))?;
        self.common.ground.check_runtime(&jobs)?;
        let scheduler = Scheduler {
            jobs: &jobs,
            tasks: &tasks,
            cache: &self.common.ground.cache,
            folder: &self.common.pipeline.folder,
            pipeline: &self.common.ground.file,
            device,
            threads: self.common.settings.threads,
            workers: 1,
            keep_going: true,
            force: false,
            renewed: Mutex::default(),
            // Generated texts are not among a trial's tables.
            reads_records: |kind| kind.has_scores() || kind.curves.is_some(),
            interrupt: self.interrupt,
            observer: &labelled,
        };
        let outcomes = scheduler.run(&|_| ());
        for (outcome, task) in outcomes.iter().zip(&tasks.all) {
            match outcome {
                Outcome::Computed { seconds } => {
                    done.insert(task.key, Some(*seconds));
                }
                Outcome::Cached => {
                    done.entry(task.key).or_insert(None);
                }
                _ => {}
            }
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Interrupted))
            || self.interrupt.is_asked()
        {
            return Ok(Computed::Interrupted);
        }
        let failure = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Failed(failure) => Some(chain(failure)),
            _ => None,
        });
        Ok(failure.map_or(Computed::Whole, Computed::Failed))
    }

    /// Ends a cell with an error.
    fn failed(&self, finished: Finished, error: String) -> Ended {
        Ended::Done(Box::new(Finished { error: Some(error), figure: None, ..finished }))
    }

    /// Reads the results of a cell as far as they are there. `done` holds what this attempt found
    /// in the cache or, with its seconds, computed.
    fn gather(&self, work: &Work<'_>, done: &BTreeMap<Digest, Option<f64>>) -> Gathered {
        let Work { trial, body, cell, jobs, tasks, metric } = *work;
        let cache = &self.common.ground.cache;
        let cached = done.values().all(Option::is_none);
        let mut finished = Finished { cached, ..Finished::default() };
        let mut lost = Vec::new();
        let number = Some(trial.number as u64);
        for (index, seed, task) in tasks.of_seed(cell.seed) {
            let (job, task) = (&jobs[index], &tasks.all[task]);
            let known = done.get(&task.key).copied();
            let seconds = known.flatten();
            if job.pauses().is_some() {
                finished.work_keys.push(task.work_key);
            }
            if let Some(records) = job.output.records {
                let model = Model { key: task.key, records };
                finished.all_models.push(task.key);
                finished.models.extend(seconds.map(|_| model));
            }
            let named = metric.and_then(Metric::parts).filter(|(stage, _)| *stage == job.id);
            // Other draws of a stage are read by other stages alone.
            let is_wanted = seed == cell.seed && is_target(job, metric);
            let mut is_read = false;
            if is_wanted {
                // One look, since all that is read is compared with its digests.
                let figures = named.and_then(|(_, name)| Some((name, job.stage.figures()?)));
                let take = |folder: &Path| {
                    let figure = figures.map(|(name, figures)| (figures.read)(folder, name));
                    let summary = job.output.scores.map(|scores| (scores.summary)(folder));
                    Ok((figure.transpose()?, summary.transpose()?))
                };
                match cache.read_records(job.output, &task.key, take) {
                    Ok((figure, summary)) => {
                        is_read = true;
                        if let Some(figure) = figure {
                            finished.figure = figure.filter(|value| value.is_finite());
                        }
                        if let Some(summary) = summary {
                            let tag = Tag { stage: job.id.clone(), trial: number, seed };
                            let row = outputs::row(self.run, &self.common.pipeline, &tag, &summary);
                            let stopped_epoch = cell.request.epochs.map(u64::from);
                            let params = body.params.clone();
                            finished.rows.push(ResultRow { params, stopped_epoch, ..row });
                        }
                    }
                    Err(Unread::Lost(reason)) => lost.push((index, reason)),
                    Err(Unread::Failed(error)) => lost.push((index, chain(&*error))),
                }
            }
            // The curves of a training go into the trial's tables, unless they are gone by now.
            if job.output.curves.is_some()
                && !is_wanted
                && let Lookup::Damaged(reason) = cache.find_records(job.output, &task.key)
            {
                lost.push((index, reason));
            }
            finished.records.push(StageRecord {
                stage: job.id.clone(),
                trial: number,
                seed,
                key: task.key,
                inputs: job.inputs_by_field(jobs),
                outcome: match known {
                    Some(Some(_)) => "computed",
                    Some(None) => "cached",
                    None if is_read => "cached",
                    None if is_wanted => "not run",
                    // Upstream outputs are not looked for where they are not needed; older ones
                    // may be gone.
                    None => NOT_NEEDED,
                }
                .to_owned(),
                seconds,
            });
        }
        if let Some(metric) = metric.filter(|_| finished.figure.is_none()) {
            finished.error = Some(format!("`{}` is undefined for this trial", metric.name));
        }
        Gathered { finished, lost }
    }

    fn lock(&self, claim: &Digest) -> PathBuf {
        self.common.ground.project.state().join("locks").join(format!("cell-{claim}"))
    }

    fn failure(&self, claim: &Digest) -> PathBuf {
        failures(&self.common.ground.project).join(format!("{claim}.json"))
    }

    /// Returns the error of a cell that failed since this attempt began, in whatever process.
    fn new_failure(&self, claim: &Digest) -> Option<String> {
        let bytes = fs::read(self.failure(claim)).ok()?;
        if self.old_failures.contains(&Digest::of(&bytes)) {
            return None;
        }
        // What cannot be read is no reason to leave a cell out.
        sealed::open::<Failure>(&bytes).ok().map(|failure| failure.error)
    }

    fn note_failure(&self, claim: &Digest, error: &str) -> Result<(), RunError> {
        let attempt = format!("{} {} {}", self.run, std::process::id(), clock::now_utc());
        let record = Failure { attempt, error: error.to_owned() };
        let _writing = CollectLock::shared(&self.common.ground.project.state())?;
        Ok(write_atomic(&self.failure(claim), &sealed::seal(&record)?)?)
    }
}

/// Returns the digests of the failures that are noted by now. Those that come later belong to
/// attempts that run at the same time. No clock is asked, since others may have other clocks.
pub(super) fn noted_failures(project: &Project) -> BTreeSet<Digest> {
    let entries = fs::read_dir(failures(project)).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(Digest::of(&fs::read(entry.path()).ok()?))).collect()
}

/// Returns the folder of noted failures.
pub(in crate::runner) fn failures(project: &Project) -> PathBuf {
    project.state().join("failed")
}

/// How often what was lost is computed before a cell fails.
const ATTEMPTS: usize = 3;

/// What came of computing what a cell lacks.
enum Computed {
    Whole,
    Failed(String),
    Interrupted,
}

/// The results of a cell as far as they are there.
struct Gathered {
    finished: Finished,
    /// The jobs whose results are missing or cannot be used, and why.
    lost: Vec<(usize, String)>,
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
