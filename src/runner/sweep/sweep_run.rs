//! A sweep, from a checked file to a finished folder.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::cell::{Runner, noted_failures};
use super::common::Common;
use super::driver::Driver;
use super::folder::TrialFolder;
use super::overview::{self, Overview};
use super::settings::SweepSettings;
use super::told::Outcomes;
use crate::base::chain::chain;
use crate::base::clock::{self, Stopwatch};
use crate::base::digest::Digest;
use crate::base::report::Report;
use crate::dag::plan::Plan;
use crate::pipeline::Spec;
use crate::results::results::ResultTable;
use crate::runner::error::RunError;
use crate::runner::observer::{Both, Event, Observer};
use crate::runner::record::provenance::{
    Best, BestTrial, FORMAT, Git, Machine, NOT_NEEDED, Provenance, StageRecord, Status, SweepRecord,
};
use crate::runner::record::run_folder::{RunFolder, link_latest};
use crate::runner::record::runs;
use crate::runner::run::interrupt::Interrupt;
use crate::search::config::Sweep;

/// A prepared sweep.
pub struct SweepRun<'a> {
    common: Common<'a>,
}

/// The outcome of a sweep.
#[derive(Debug)]
pub struct SweepFinished {
    pub run: String,
    pub folder: PathBuf,
    pub status: Status,
    pub table: ResultTable,
    /// The numbers of trainings with their evaluation that were computed and that were cached.
    pub computed: usize,
    pub cached: usize,
    /// Whether the search is complete.
    pub is_complete: bool,
    pub record: SweepRecord,
    /// The error of each trial that failed, with its values.
    pub failures: Vec<(usize, String, String)>,
}

/// The folder of a sweep with its record at the beginning.
struct Opened {
    folder: RunFolder,
    begun: Provenance,
    /// Whether an earlier attempt had completed it.
    was_complete: bool,
}

/// What an attempt at a sweep works with.
struct Attempt<'b> {
    /// Whether the record of what came of it was written.
    is_recorded: &'b Cell<bool>,
    folder: &'b RunFolder,
    begun: &'b Provenance,
    was_complete: bool,
    identity: Digest,
    stopwatch: Stopwatch,
    old_failures: BTreeSet<Digest>,
    observer: &'b dyn Observer,
    interrupt: &'b Interrupt,
}

impl<'a> SweepRun<'a> {
    /// Finds everything that the trials share. With `install`, missing files are fetched.
    pub fn prepare(
        spec: &'a Spec,
        sweep: &'a Sweep,
        plan: &Plan,
        settings: SweepSettings,
        install: bool,
        report: &dyn Report,
    ) -> Result<SweepRun<'a>, RunError> {
        Ok(SweepRun { common: Common::new(spec, sweep, plan, settings, install, report)? })
    }

    /// Returns the largest number of trials.
    pub fn limit(&self) -> usize {
        self.common.search().limit()
    }

    /// Returns a warning if some workers will have nothing to do.
    pub fn idle_workers(&self) -> Option<String> {
        let pending = self.common.search().pending()?;
        let (workers, seeds) = (self.common.settings.workers, self.common.settings.seeds.len());
        (pending * seeds < workers).then(|| {
            format!(
                "`pending: {pending}` lets {} trainings run at a time, fewer than `-j {workers}`; \
                 `pending` is set in the file so that `-j` changes no result",
                pending * seeds
            )
        })
    }

    /// Returns the trials that would run and their expected time.
    pub fn overview(&self) -> Result<Overview, RunError> {
        overview::overview(&self.common)
    }

    /// Runs the missing trials and writes the sweep's folder. An earlier sweep of the same file
    /// with the same values is resumed.
    pub fn execute(
        &self,
        observer: &dyn Observer,
        interrupt: &Interrupt,
    ) -> Result<SweepFinished, RunError> {
        let stopwatch = Stopwatch::start();
        let old_failures = noted_failures(&self.common.ground.project);
        let identity = self.identity();
        let Opened { folder, begun, was_complete } = self.folder(identity)?;
        let is_recorded = Cell::new(false);
        let attempt = Attempt {
            is_recorded: &is_recorded,
            folder: &folder,
            begun: &begun,
            was_complete,
            identity,
            stopwatch,
            old_failures,
            observer,
            interrupt,
        };
        let ended = self.work(attempt);
        if let Err(error) = &ended
            && !is_recorded.get()
        {
            folder.give_up(&begun, error);
        }
        ended
    }

    /// Runs the missing trials and fills the sweep's folder.
    fn work(&self, attempt: Attempt<'_>) -> Result<SweepFinished, RunError> {
        let Attempt { folder, begun, was_complete, identity, stopwatch, .. } = attempt;
        let Attempt { old_failures, observer, interrupt, is_recorded, .. } = attempt;
        let common = &self.common;
        let both = Both(observer, folder);
        let (trials, seeds) = (common.search().limit(), common.settings.seeds.len());
        let trainings = common.sweep.min_epochs().is_none().then_some(trials * seeds);
        both.event(&Event::SweepStarted { run: &folder.id, trials, seeds, trainings });
        let run = &folder.id;
        let runner = Runner { common, run, interrupt, observer: &both, folder, old_failures };
        let tables = TrialFolder::new(common, &folder.id, &folder.path);
        let driver = Driver { common, runner: &runner, folder: &tables, observer: &both };
        let mut outcomes = driver.run();
        if outcomes.error.is_none() {
            outcomes.error = self.missing_row(&outcomes);
        }
        let table = tables.table(&outcomes);
        table.write(&folder.path)?;
        let record = self.record(identity, &outcomes);
        let failures: Vec<(usize, String, String)> = outcomes
            .trials
            .values()
            .filter_map(|told| Some((told.trial.number, told.trial.label(), told.error.clone()?)))
            .collect();
        let status = match () {
            _ if outcomes.error.is_some() => Status::Failed,
            _ if !outcomes.is_complete && interrupt.is_asked() => Status::Interrupted,
            _ if !failures.is_empty() => Status::Failed,
            _ if outcomes.is_complete => Status::Complete,
            _ => Status::Interrupted,
        };
        let failed = failures
            .first()
            .map(|(trial, values, error)| format!("trial {trial} ({values}) failed: {error}"));
        let best = record.best.as_ref().and_then(|best| {
            let (metric, _) = common.metric()?;
            let (stage, name) = metric.parts()?;
            Some(Best { stage: stage.to_owned(), metric: name.to_owned(), value: best.value })
        });
        let provenance = Provenance {
            status,
            error: outcomes.error.as_ref().map(|error| chain(error)).or(failed),
            seconds: stopwatch.seconds(),
            finished: Some(clock::text(clock::now_utc())),
            stages: stages(&outcomes, begun),
            best,
            sweep: Some(record.clone()),
            ..begun.clone()
        };
        // If nothing was computed, the folder's record of the original run stays valid.
        if !(was_complete && status == Status::Complete && outcomes.computed == 0) {
            folder.write_provenance(&provenance)?;
        }
        is_recorded.set(true);
        if outcomes.is_complete {
            folder.forget_others()?;
            let cache = &common.ground.cache;
            for key in &outcomes.work_keys {
                // A holder of the lock is finishing the same training.
                if let Some(_lock) = cache.lock(key, || {}, || true)? {
                    cache.clear_scratch(key)?;
                }
            }
        }
        link_latest(&common.ground.project, &folder.id, &both);
        both.event(&Event::RunFinished {
            run: &folder.id,
            status: status.name(),
            seconds: provenance.seconds,
        });
        if let Some(error) = outcomes.error {
            return Err(error);
        }
        Ok(SweepFinished {
            run: folder.id.clone(),
            folder: folder.path.clone(),
            status,
            table,
            computed: outcomes.computed,
            cached: outcomes.cached,
            is_complete: outcomes.is_complete,
            record,
            failures,
        })
    }

    /// Returns the identity of the sweep, which another attempt must share to resume it in the same
    /// folder. Changed inputs are left to the keys of the outputs.
    fn identity(&self) -> Digest {
        let common = &self.common;
        let material = serde_json::json!({
            "file": common.ground.file,
            "resolved": common.pipeline.resolved,
            "seeds": common.settings.seeds,
            "run_cap": common.sweep.run_cap,
            "threads": common.settings.threads,
            "device": common.settings.device().to_string(),
        });
        Digest::of(material.to_string().as_bytes())
    }

    /// Returns the folder to work in: an unused one of an earlier attempt, or a new one.
    fn folder(&self, identity: Digest) -> Result<Opened, RunError> {
        let project = &self.common.ground.project;
        let pipeline = &self.common.pipeline;
        for run in runs::list(project)? {
            let earlier = run.provenance;
            let is_same = earlier.sweep.as_ref().is_some_and(|sweep| sweep.identity == identity);
            if !is_same {
                continue;
            }
            let reopened = RunFolder::reopen(
                project,
                &run.folder,
                &earlier.run,
                &pipeline.source,
                &pipeline.resolved,
            )?;
            let Some(folder) = reopened else { continue };
            let was_complete = earlier.status == Status::Complete;
            let begun = Provenance {
                started: earlier.started,
                stages: earlier.stages,
                ..self.provenance(&earlier.run, earlier.number, identity)
            };
            if !was_complete {
                folder.write_provenance(&begun)?;
            }
            return Ok(Opened { folder, begun, was_complete });
        }
        let (folder, begun) = RunFolder::create(
            project,
            &pipeline.name,
            &pipeline.source,
            &pipeline.resolved,
            |id, number| self.provenance(id, number, identity),
        )?;
        Ok(Opened { folder, begun, was_complete: false })
    }

    /// Returns the error of a table that lacks a row: every evaluation of every seed of a finished
    /// trial has one, with its figures or with an error.
    fn missing_row(&self, outcomes: &Outcomes) -> Option<RunError> {
        let seeds = &self.common.settings.seeds;
        // A search that stopped in the middle of a trial has seen a part of its seeds.
        let told = outcomes.trials.values().filter(|_| outcomes.is_complete);
        for told in told.filter(|told| told.epochs.is_none()) {
            let Ok(body) = &told.trial.body else { continue };
            let scores = body.plan.steps.iter().filter(|step| step.config.output().has_scores());
            for step in scores {
                let has_row = |seed: u64| {
                    told.rows.iter().any(|row| row.seed == seed && row.stage == step.id.0)
                };
                if let Some(seed) = seeds.iter().find(|seed| !has_row(**seed)) {
                    return Some(RunError::MissingRow {
                        trial: told.trial.number,
                        stage: step.id.0.clone(),
                        seed: *seed,
                    });
                }
            }
        }
        None
    }

    fn provenance(&self, id: &str, number: u64, identity: Digest) -> Provenance {
        let common = &self.common;
        Provenance {
            format: FORMAT,
            run: id.to_owned(),
            number,
            name: common.pipeline.name.clone(),
            status: Status::Running,
            error: None,
            pipeline: common.ground.file.clone(),
            command: common.settings.command.clone(),
            started: clock::text(clock::now_utc()),
            finished: None,
            seconds: 0.0,
            seeds: common.settings.seeds.clone(),
            device: common.settings.device().to_string(),
            threads: common.settings.threads,
            runtime: common.ground.runtime.clone(),
            machine: Machine::here(),
            pipe_version: env!("CARGO_PKG_VERSION").to_owned(),
            git: Git::of(&common.ground.project.root),
            data: common.all_externals(),
            stages: Vec::new(),
            best: None,
            sweep: Some(self.record(identity, &Outcomes::default())),
        }
    }

    fn record(&self, identity: Digest, outcomes: &Outcomes) -> SweepRecord {
        let goal = self.common.metric().map(|(_, goal)| goal);
        let metric = self.common.metric().map(|(metric, _)| metric.name.clone());
        let told = || outcomes.trials.values();
        let full = || told().filter(|told| told.epochs.is_none() && told.figure.is_some());
        let value = |figure: f64| goal.map_or(0.0, |goal| goal.minimised(figure));
        // Of equals, `min_by` returns the first.
        let best = full().min_by(|a, b| {
            let of = |figure: Option<f64>| figure.map_or(f64::INFINITY, value);
            of(a.figure).total_cmp(&of(b.figure))
        });
        SweepRecord {
            identity,
            method: self.common.method_name(),
            metric,
            goal: goal.map(|goal| goal.name().to_owned()),
            parameters: self.common.parameters.keys.clone(),
            trials: outcomes.trials.len(),
            failed: told().filter(|told| told.error.is_some()).count(),
            stopped: told().filter(|told| told.error.is_none() && told.epochs.is_some()).count(),
            best: best.and_then(|told| {
                Some(BestTrial {
                    trial: told.trial.number as u64,
                    values: told.trial.values.iter().cloned().collect(),
                    value: told.figure?,
                    of: outcomes.trials.len(),
                })
            }),
        }
    }
}

/// Returns the records of all stages. Of a stage that was not needed now, the record of an earlier
/// attempt stays.
fn stages(outcomes: &Outcomes, begun: &Provenance) -> Vec<StageRecord> {
    let earlier: BTreeMap<(Option<u64>, u64, &str), &StageRecord> = begun
        .stages
        .iter()
        .map(|record| ((record.trial, record.seed, record.stage.as_str()), record))
        .collect();
    let records = outcomes.trials.values().flat_map(|told| &told.records);
    let merged = |record: &StageRecord| {
        let known = earlier.get(&(record.trial, record.seed, record.stage.as_str()));
        match known.filter(|known| record.outcome == NOT_NEEDED && known.key == record.key) {
            Some(known) => (*known).clone(),
            None => record.clone(),
        }
    };
    records.map(merged).collect()
}
