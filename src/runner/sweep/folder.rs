//! The folder of a sweep: its tables, and a folder for each trial.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cell::Finished;
use super::common::Common;
use super::told::{Outcomes, Told};
use super::trial::{self, Trial};
use crate::base::clock::Stopwatch;
use crate::base::digest::Digest;
use crate::base::digests::{self, Digests};
use crate::base::files::AtomicFiles;
use crate::data::TableError;
use crate::results::results::ResultTable;
use crate::results::row::ResultRow;
use crate::runner::cache::entry::{Depth, Lookup};
use crate::runner::error::RunError;
use crate::runner::job::jobs;
use crate::runner::run::outputs::{self, Outputs};
use crate::runner::run::scheduler::Outcome;

/// Writes the folders of trials below the sweep's folder: `trials/<n>/` with the tables of a run,
/// and `trial.json`.
pub(super) struct TrialFolder<'a> {
    common: &'a Common<'a>,
    run: &'a str,
    path: PathBuf,
    refreshed: Mutex<Refreshed>,
}

struct Refreshed {
    since: Stopwatch,
    /// The duration of the last write in seconds.
    took: f64,
}

/// The content of `trial.json`, which is written last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TrialRecord {
    trial: usize,
    values: IndexMap<String, Value>,
    /// The epochs that it was trained for; absent for a full training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epochs: Option<u32>,
    /// The mean over the seeds.
    figure: Option<f64>,
    error: Option<String>,
    /// The keys of all outputs in the tables.
    keys: Vec<Digest>,
}

/// Returns whether a trial's folder holds this record, and its files are as they were written.
fn holds(folder: &Path, record: &TrialRecord) -> bool {
    let known = fs::read(folder.join(FILE)).ok();
    let known = known.and_then(|bytes| serde_json::from_slice::<TrialRecord>(&bytes).ok());
    let digests = Digests::read(folder).ok().flatten();
    known.as_ref() == Some(record)
        && digests.is_some_and(|digests| digests.changed(folder).is_empty())
}

const FILE: &str = "trial.json";
/// The table of a running sweep is rewritten after this many seconds, but writing takes at most a
/// fiftieth of the time.
const REFRESH_SECONDS: f64 = 5.0;
const REFRESH_SHARE: f64 = 50.0;

impl<'a> TrialFolder<'a> {
    pub(super) fn new(common: &'a Common<'a>, run: &'a str, path: &Path) -> TrialFolder<'a> {
        let refreshed = Mutex::new(Refreshed { since: Stopwatch::start(), took: 0.0 });
        TrialFolder { common, run, path: path.to_owned(), refreshed }
    }

    /// Returns the rows of a cell: its evaluations, and an error row for each missing one.
    pub(super) fn rows(&self, trial: &Trial, seed: u64, finished: &Finished) -> Vec<ResultRow> {
        let mut rows = finished.rows.clone();
        let Some(error) = &finished.error else { return rows };
        // All may be evaluated while the figure of the search is still missing.
        rows.iter_mut().for_each(|row| row.error = Some(error.clone()));
        let (stages, params) = match &trial.body {
            Ok(body) => (
                body.plan.steps.iter().map(|step| (&step.id, &step.config)).collect(),
                body.params.clone(),
            ),
            Err(_) => {
                let params = trial::with_values(self.common.pipeline.params.clone(), &trial.values);
                (self.common.spec.stages.iter().collect::<Vec<_>>(), params)
            }
        };
        for (id, config) in stages {
            let Some(figures) = config.stage().figures() else { continue };
            if !config.output().has_scores() {
                continue;
            }
            if rows.iter().any(|row| row.stage == id.0) {
                continue;
            }
            rows.push(ResultRow {
                run: self.run.to_owned(),
                pipeline: self.common.pipeline.name.clone(),
                stage: id.0.clone(),
                trial: Some(trial.number as u64),
                seed,
                split: figures.split.to_string(),
                params: params.clone(),
                error: Some(error.clone()),
                ..ResultRow::default()
            });
        }
        rows
    }

    /// Writes the folder of a trial, unless it exists.
    pub(super) fn write(&self, told: &Told) -> Result<(), RunError> {
        let folder = self.path.join("trials").join(told.trial.number.to_string());
        let record = TrialRecord {
            trial: told.trial.number,
            values: told.trial.values.iter().cloned().collect(),
            epochs: told.epochs,
            figure: told.figure,
            error: told.error.clone(),
            keys: told.records.iter().map(|record| record.key).collect(),
        };
        if holds(&folder, &record) {
            return Ok(());
        }
        let mut files = AtomicFiles::new(&folder);
        if let Ok(body) = &told.trial.body {
            let plan = body.plan(self.common.metric().map(|(metric, _)| metric), told.epochs);
            let jobs = jobs(&plan)?;
            let cache = &self.common.ground.cache;
            let tasks = match self.common.tasks(&jobs, &self.common.settings.seeds, None) {
                Ok(tasks) => tasks,
                // The inputs of a failed trial may be missing.
                Err(_) if told.error.is_some() => return finish(files, told, &record),
                Err(error) => return Err(error),
            };
            let outcomes: Vec<Outcome> = tasks
                .all
                .iter()
                .map(|task| {
                    // Generated texts are the same for most trials, and are in the cache.
                    let output = jobs[task.job].output;
                    let is_shown = output.has_scores() || output.curves.is_some();
                    // What is there and damaged is an error, and not left out.
                    let is_gone =
                        || matches!(cache.find_any(&task.key, Depth::Sizes), Lookup::Miss);
                    match is_shown && !is_gone() {
                        true => Outcome::Cached,
                        false => Outcome::NotRun,
                    }
                })
                .collect();
            let mut pipeline = self.common.pipeline.clone();
            pipeline.params.clone_from(&body.params);
            let from = Outputs {
                run: self.run,
                pipeline: &pipeline,
                jobs: &jobs,
                tasks: &tasks,
                outcomes: &outcomes,
                cache,
                trial: Some(told.trial.number as u64),
            };
            outputs::add_details(&mut files, &from)?;
        }
        finish(files, told, &record)
    }

    /// Rewrites the sweep's own table from time to time while it runs.
    pub(super) fn refresh(&self, outcomes: &Outcomes) -> Result<(), RunError> {
        let mut refreshed = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
        if refreshed.since.seconds() < REFRESH_SECONDS.max(refreshed.took * REFRESH_SHARE) {
            return Ok(());
        }
        let stopwatch = Stopwatch::start();
        self.table(outcomes).write(&self.path)?;
        *refreshed = Refreshed { since: Stopwatch::start(), took: stopwatch.seconds() };
        Ok(())
    }

    /// Returns the table of all trials.
    pub(super) fn table(&self, outcomes: &Outcomes) -> ResultTable {
        ResultTable {
            rows: outcomes.trials.values().flat_map(|told| told.rows.iter().cloned()).collect(),
        }
    }
}

fn finish(mut files: AtomicFiles, told: &Told, record: &TrialRecord) -> Result<(), RunError> {
    // These rows also include failed and stopped trainings.
    ResultTable { rows: told.rows.clone() }.add_parquet(&mut files)?;
    files.add(FILE, &serde_json::to_vec_pretty(record).map_err(std::io::Error::from)?)?;
    // Nothing waits for the disk: what a power failure truncates differs from its digest, and is
    // made again from the cache.
    files.add_digests()?;
    Ok(files.commit_unflushed()?)
}

/// A trial of a finished sweep.
pub(in crate::runner) struct RecordedTrial {
    pub number: u64,
    pub values: IndexMap<String, Value>,
    /// The epochs that it was trained for; `None` for a full training.
    pub epochs: Option<u32>,
}

/// Returns the trials of a sweep that did not fail, in order.
///
/// # Errors
///
/// Fails where the record of a trial has changed since it was written.
pub(in crate::runner) fn recorded_trials(run: &Path) -> Result<Vec<RecordedTrial>, RunError> {
    let mut trials = Vec::new();
    let folder = run.join("trials");
    if !folder.is_dir() {
        return Ok(trials);
    }
    for entry in fs::read_dir(&folder)? {
        let file = entry?.path().join(FILE);
        if !file.is_file() {
            continue;
        }
        let bytes = digests::read(&file).map_err(TableError::from)?;
        let record: TrialRecord = serde_json::from_slice(&bytes).map_err(|error| {
            RunError::Damaged { file: file.display().to_string(), reason: error.to_string() }
        })?;
        if record.error.is_none() {
            let (number, values, epochs) = (record.trial as u64, record.values, record.epochs);
            trials.push(RecordedTrial { number, values, epochs });
        }
    }
    trials.sort_by_key(|trial| trial.number);
    Ok(trials)
}
