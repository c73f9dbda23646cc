//! One run of a pipeline, from checked plan to finished folder.

use super::pipeline::Pipeline;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::ground::{self, Ground};
use super::interrupt::Interrupt;
use super::scheduler::{Outcome, Scheduler};
use super::tasks::Tasks;
use crate::base::clock::{self, Stopwatch};
use crate::base::digest::Digest;
use crate::base::report::Report;
use crate::engine::Device;
use crate::results::results::ResultTable;
use crate::runner::cache::cache::{Cache, Unread};
use crate::runner::cache::ledger::Ledger;
use crate::runner::cache::lock::UseLock;
use crate::runner::error::{Phase, RunError, StageFailure};
use crate::runner::explain::{Reason, explain};
use crate::runner::job::Job;
use crate::runner::observer::{Both, Event, Observer};
use crate::runner::project::Project;
use crate::runner::record::provenance::{
    FORMAT, Git, Machine, Provenance, RuntimeRecord, StageRecord, Status,
};
use crate::runner::record::run_folder::{RunFolder, link_latest};
use crate::runner::record::runs::{self, Run};
use crate::runner::run::outputs::{self, Outputs};
use crate::stages::{External, Output, StageError, StageId};

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The plan runs once for each seed.
    pub seeds: Vec<u64>,
    /// The number of stages that run at a time.
    pub workers: usize,
    /// Whether a failure stops only the stages that depend on it.
    pub keep_going: bool,
    /// Whether cached outputs are computed again.
    pub force: bool,
    pub device: Device,
    /// The engine's threads per stage. They are part of the keys, and so never derived from
    /// `workers`.
    pub threads: usize,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// A run whose keys are known, before anything runs.
pub struct Prepared<'a> {
    pub project: Project,
    pub cache: Cache,
    pub jobs: Vec<Job<'a>>,
    pub tasks: Tasks,
    pub ledger: Ledger,
    pipeline: Pipeline,
    /// The pipeline file relative to the project's root.
    file: String,
    settings: Settings,
    runtime: Option<RuntimeRecord>,
    externals: Vec<Vec<External>>,
}

/// The error for a cached output that has just disappeared.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("its output is no longer in the cache")]
#[diagnostic(help("run the same command again"))]
struct Gone;

/// The outcome of a run.
#[derive(Debug)]
pub struct Finished {
    /// The run's id and folder; those of the earlier run if there was nothing to do.
    pub run: String,
    pub folder: PathBuf,
    pub status: Status,
    /// Whether everything was cached and an earlier run already has these results.
    pub nothing_to_do: bool,
    pub computed: usize,
    pub cached: usize,
    pub failures: Vec<StageFailure>,
    /// The labels of tasks that did not run because of the failures or the interruption.
    pub not_run: Vec<String>,
    pub table: ResultTable,
}

/// Computes every key: reads the files that stages depend on, and finds ONNX Runtime if a stage
/// uses it. With `install`, a missing runtime is installed now, since its library is part of the
/// keys.
pub fn prepare<'a>(
    pipeline: Pipeline,
    jobs: Vec<Job<'a>>,
    mut settings: Settings,
    install: bool,
    report: &dyn Report,
) -> Result<Prepared<'a>, RunError> {
    let (device, threads) = (settings.device, settings.threads);
    let ground = Ground::new(&pipeline.path, &jobs, &[device], threads, install, report)?;
    settings.device = ground.devices.first().copied().unwrap_or_default();
    ground.check_runtime(&jobs)?;
    let externals = jobs
        .iter()
        .map(|job| ground::externals(job, &pipeline.folder, install.then_some(report)))
        .collect::<Result<Vec<_>, _>>()?;
    let tasks = Tasks::new(&jobs, &settings.seeds, ground.material.as_ref(), &externals);
    let Ground { project, cache, file, runtime, .. } = ground;
    let ledger = Ledger::read(&project, &file);
    Ok(Prepared {
        project,
        cache,
        jobs,
        tasks,
        ledger,
        pipeline,
        file,
        settings,
        runtime,
        externals,
    })
}

impl Prepared<'_> {
    /// Returns for every task, in order, whether it would run and why.
    pub fn reasons(&self) -> Vec<(&str, Reason)> {
        let mut seen = BTreeSet::new();
        let mut reasons = Vec::new();
        for (job, seed, task) in self.tasks.uses() {
            if seen.insert((job, task)) {
                let label = match self.tasks.all[task].job == job {
                    true => self.tasks.all[task].label.as_str(),
                    // The same work under another name.
                    false => self.jobs[job].id.as_str(),
                };
                reasons.push((
                    label,
                    if self.settings.force { Reason::Forced } else { self.reason(job, seed, task) },
                ));
            }
        }
        reasons
    }

    /// Returns why a task would run for a job and a seed, or not.
    pub fn reason(&self, job: usize, seed: u64, task: usize) -> Reason {
        explain(&self.cache, &self.ledger, &self.jobs, &self.jobs[job], &self.tasks.all[task], seed)
    }

    /// Runs the tasks that are not cached and writes the run's folder.
    pub fn execute(
        &self,
        observer: &dyn Observer,
        interrupt: &Interrupt,
    ) -> Result<Finished, RunError> {
        if let Some((earlier, table)) = self.earlier_run()? {
            return self.nothing_to_do(earlier, table, observer);
        }
        let stopwatch = Stopwatch::start();
        let _models = UseLock::shared(&self.project)?;
        let (source, resolved) = (&self.pipeline.source, &self.pipeline.resolved);
        let about = |id: &str, number| self.provenance(id, number);
        let (folder, provenance) =
            RunFolder::create(&self.project, &self.pipeline.name, source, resolved, about)?;
        let ended = self.work(&folder, &provenance, stopwatch, observer, interrupt);
        if let Err(error) = &ended {
            folder.give_up(&provenance, error);
        }
        ended
    }

    /// Runs the tasks and fills the run's folder.
    fn work(
        &self,
        folder: &RunFolder,
        begun: &Provenance,
        stopwatch: Stopwatch,
        observer: &dyn Observer,
        interrupt: &Interrupt,
    ) -> Result<Finished, RunError> {
        let both = Both(observer, folder);
        both.event(&Event::RunStarted { run: &folder.id, tasks: self.tasks.all.len() });
        let done = Mutex::new(Vec::new());
        let outcomes = self
            .scheduler(&both, interrupt)
            .run(&|task| done.lock().unwrap_or_else(PoisonError::into_inner).push(task));
        self.remember(&done.into_inner().unwrap_or_else(PoisonError::into_inner))?;
        let from = Outputs {
            run: &folder.id,
            pipeline: &self.pipeline,
            jobs: &self.jobs,
            tasks: &self.tasks,
            outcomes: &outcomes,
            cache: &self.cache,
            trial: None,
        };
        let table = outputs::write(&folder.path, &from)?;
        let status = match () {
            _ if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_))) => {
                Status::Failed
            }
            _ if outcomes.iter().all(Outcome::is_done) => Status::Complete,
            _ => Status::Interrupted,
        };
        let seconds = stopwatch.seconds();
        folder.write_provenance(&Provenance {
            status,
            error: outcomes.iter().find_map(|outcome| match outcome {
                Outcome::Failed(failure) => Some(format!("{failure}: {}", failure.error)),
                _ => None,
            }),
            seconds,
            finished: Some(clock::text(clock::now_utc())),
            stages: self.records(&outcomes),
            best: outputs::best(&table),
            ..begun.clone()
        })?;
        link_latest(&self.project, &folder.id, &both);
        both.event(&Event::RunFinished { run: &folder.id, status: status.name(), seconds });
        let count =
            |test: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| test(outcome)).count();
        let (computed, cached) = (
            count(|o| matches!(o, Outcome::Computed { .. })),
            count(|o| matches!(o, Outcome::Cached)),
        );
        let mut failures = Vec::new();
        let mut not_run = Vec::new();
        for (outcome, task) in outcomes.into_iter().zip(&self.tasks.all) {
            match outcome {
                Outcome::Failed(failure) => failures.push(failure),
                Outcome::NotRun => not_run.push(task.label.clone()),
                _ => {}
            }
        }
        let (run, folder) = (folder.id.clone(), folder.path.clone());
        Ok(Finished {
            run,
            folder,
            status,
            nothing_to_do: false,
            computed,
            cached,
            failures,
            not_run,
            table,
        })
    }

    /// Returns the cached output of a stage for a seed.
    pub fn output(&self, stage: &StageId, seed: u64) -> Result<Arc<dyn Output>, RunError> {
        let failed = |error| StageFailure { stage: stage.0.clone(), phase: Phase::After, error };
        let gone = || failed(Box::new(Gone) as StageError);
        let job = self.jobs.iter().position(|job| job.id == stage.0).ok_or_else(gone)?;
        let task = self.tasks.index(job, seed).ok_or_else(gone)?;
        match self.cache.read(self.jobs[job].output, &self.tasks.all[task].key) {
            Ok(output) => Ok(output),
            Err(Unread::Failed(error)) => Err(failed(error).into()),
            Err(Unread::Lost(_)) => Err(gone().into()),
        }
    }

    /// Returns ONNX Runtime, if a stage uses it.
    pub(in crate::runner) fn runtime(&self) -> Option<&RuntimeRecord> {
        self.runtime.as_ref()
    }

    pub(in crate::runner) fn scheduler<'b>(
        &'b self,
        observer: &'b dyn Observer,
        interrupt: &'b Interrupt,
    ) -> Scheduler<'b> {
        Scheduler {
            jobs: &self.jobs,
            tasks: &self.tasks,
            cache: &self.cache,
            folder: &self.pipeline.folder,
            pipeline: &self.file,
            device: self.settings.device,
            threads: self.settings.threads,
            workers: self.settings.workers,
            keep_going: self.settings.keep_going,
            force: self.settings.force,
            renewed: Mutex::default(),
            reads_records: outputs::reads,
            interrupt,
            observer,
        }
    }

    /// Finds a complete run with exactly these results, if everything is cached.
    fn earlier_run(&self) -> Result<Option<(Run, ResultTable)>, RunError> {
        let all_cached = || self.tasks.all.iter().all(|task| self.cache.entry(&task.key).is_some());
        if self.settings.force || !all_cached() {
            return Ok(None);
        }
        let uses = self.tasks.uses();
        let ours: Vec<(&str, u64, Digest)> = uses
            .map(|(job, seed, task)| (self.jobs[job].id.as_str(), seed, self.tasks.all[task].key))
            .collect();
        let same = |run: Run| {
            let theirs = run
                .provenance
                .stages
                .iter()
                .map(|stage| (stage.stage.as_str(), stage.seed, stage.key));
            let found = run.provenance.status == Status::Complete
                && run.provenance.name == self.pipeline.name
                && run.provenance.pipeline == self.file
                && theirs.eq(ours.iter().copied())
                // Parameters that no stage uses are in no key, but they are in the table.
                && fs_err::read_to_string(run.folder.join("resolved.yaml"))
                    .is_ok_and(|text| text == self.pipeline.resolved)
                && runs::changed_files(&run.folder).is_some_and(|changed| changed.is_empty());
            // A run without a readable table does not count; the results come from the cache again.
            let table = found.then(|| ResultTable::read(&run.folder).ok()).flatten()?;
            Some((run, table))
        };
        Ok(runs::list(&self.project)?.into_iter().find_map(same))
    }

    fn nothing_to_do(
        &self,
        earlier: Run,
        table: ResultTable,
        observer: &dyn Observer,
    ) -> Result<Finished, RunError> {
        for task in &self.tasks.all {
            observer.event(&Event::StageCached { task: &task.label, key: &task.key.to_string() });
        }
        self.remember(&(0..self.tasks.all.len()).collect::<Vec<_>>())?;
        link_latest(&self.project, &earlier.provenance.run, observer);
        Ok(Finished {
            run: earlier.provenance.run,
            folder: earlier.folder,
            status: Status::Complete,
            nothing_to_do: true,
            computed: 0,
            cached: self.tasks.all.len(),
            failures: Vec::new(),
            not_run: Vec::new(),
            table,
        })
    }

    /// Records the material of each stage for later explanations. The ledger is read again first,
    /// since another run may have written it meanwhile.
    fn remember(&self, done: &[usize]) -> Result<(), RunError> {
        let mut ledger = Ledger::read(&self.project, &self.file);
        let mut changed = false;
        for (job, seed, task) in self.tasks.uses().filter(|(_, _, task)| done.contains(task)) {
            let (id, task) = (&self.jobs[job].id, &self.tasks.all[task]);
            if ledger.last(id, seed).is_none_or(|last| last.key != task.key) {
                ledger.set(id, seed, task.key, &task.material);
                changed = true;
            }
        }
        if changed {
            ledger.write()?;
        }
        Ok(())
    }

    fn provenance(&self, id: &str, number: u64) -> Provenance {
        let data: BTreeMap<&str, &External> = self
            .externals
            .iter()
            .flatten()
            .map(|external| (external.name.as_str(), external))
            .collect();
        Provenance {
            format: FORMAT,
            run: id.to_owned(),
            number,
            name: self.pipeline.name.clone(),
            status: Status::Running,
            error: None,
            pipeline: self.file.clone(),
            command: self.settings.command.clone(),
            started: clock::text(clock::now_utc()),
            finished: None,
            seconds: 0.0,
            seeds: self.settings.seeds.clone(),
            device: self.settings.device.to_string(),
            threads: self.settings.threads,
            runtime: self.runtime.clone(),
            machine: Machine::here(),
            pipe_version: env!("CARGO_PKG_VERSION").to_owned(),
            git: Git::of(&self.project.root),
            data: data.into_values().cloned().collect(),
            stages: self.records(&[]),
            best: None,
            sweep: None,
        }
    }

    /// Describes every stage for every seed; without outcomes, as `not run`.
    fn records(&self, outcomes: &[Outcome]) -> Vec<StageRecord> {
        let record = |(job, seed, task): (usize, u64, usize)| {
            let outcome = outcomes.get(task).unwrap_or(&Outcome::NotRun);
            StageRecord {
                stage: self.jobs[job].id.clone(),
                trial: None,
                seed,
                key: self.tasks.all[task].key,
                inputs: self.jobs[job].inputs_by_field(&self.jobs),
                outcome: outcome.name().to_owned(),
                seconds: if let Outcome::Computed { seconds } = outcome {
                    Some(*seconds)
                } else {
                    None
                },
            }
        };
        self.tasks.uses().map(record).collect()
    }
}
