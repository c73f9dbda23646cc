//! The replay of a run or a sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{difference, surroundings};
use crate::base::digest::Digest;
use crate::base::report::Report;
use crate::dag::plan::Plan;
use crate::dag::trials;
use crate::pipeline::Spec;
use crate::runner::cache::cache::{Cache, remove_if_there};
use crate::runner::cache::entry::{Depth, Lookup};
use crate::runner::cache::lock::{CollectLock, KeyLock, UseLock};
use crate::runner::error::{RunError, StageFailure};
use crate::runner::explain::changes;
use crate::runner::job::jobs;
use crate::runner::observer::Observer;
use crate::runner::project::Project;
use crate::runner::record::layout::LOCK;
use crate::runner::record::provenance::{DROPPED, Git, NOT_NEEDED, StageRecord};
use crate::runner::record::runs::Run;
use crate::runner::run::interrupt::Interrupt;
use crate::runner::run::pipeline::Pipeline;
use crate::runner::run::pipeline_run::{Prepared, Settings, prepare};
use crate::runner::run::scheduler::Outcome;
use crate::runner::run::tasks::Task;
use crate::runner::sweep::{Body, RecordedTrial, recorded_trials};

/// A run that is to be computed again.
pub struct Replay<'a> {
    pub project: &'a Project,
    pub run: &'a Run,
    /// Its pipeline with what the command line set then.
    pub spec: &'a Spec,
    pub plan: &'a Plan,
    /// The one stage that is replayed, on stored inputs; all if `None`.
    pub stage: Option<&'a str>,
    pub settings: Settings,
}

/// The outcome of a replay.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The number of outputs that were computed again and compared.
    pub compared: usize,
    /// Outputs that are no longer stored as a whole, so that only their records, or nothing, could
    /// be compared.
    pub incomplete: usize,
    /// In the order of the pipeline.
    pub differing: Vec<Differs>,
    /// What differs around the run, whether or not that changed anything.
    pub surroundings: Vec<String>,
    pub is_interrupted: bool,
}

/// An output that differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Differs {
    /// Such as `tuned, trial 3, seed 13`.
    pub output: String,
    /// The first tensor, row or number that differs, with both values.
    pub what: String,
    /// What differs in that from which the key is made.
    pub changes: Vec<String>,
}

/// The folder of replays in progress.
pub(in crate::runner) const REPLAYS: &str = "replays";

/// Computes a run again in a folder of its own and compares every output with the stored one.
///
/// # Errors
///
/// Fails where a stage fails that did not fail then.
pub fn replay(
    asked: &Replay<'_>,
    interrupt: &Interrupt,
    observer: &dyn Observer,
    report: &dyn Report,
) -> Result<Replayed, RunError> {
    let Replay { project, run, .. } = asked;
    // The stored models stay while they are compared.
    let _models = UseLock::shared(project)?;
    let replays = project.state().join(REPLAYS);
    fs::create_dir_all(&replays)?;
    // Dropped after the folder, which `gc` removes where nobody holds it.
    let _lock;
    let folder;
    {
        let _writing = CollectLock::shared(&project.state())?;
        folder = tempfile::Builder::new().prefix("replay-").tempdir_in(&replays)?;
        _lock = KeyLock::acquire_soon(&folder.path().join(LOCK))?;
    }
    let mut found = Replayed::default();
    let mut seen = BTreeSet::new();
    let mut around =
        Around { git: Git::of(&project.root), is_known: false, models: BTreeSet::new() };
    for unit in units(asked)? {
        let watchers = (interrupt, observer, report);
        let done = one(asked, &unit, folder.path(), &mut seen, &mut around, &mut found, watchers)?;
        if !done {
            found.is_interrupted = true;
            break;
        }
    }
    if !around.is_known {
        found.surroundings = surroundings::differences(&run.provenance, None, around.git.as_ref());
    }
    Ok(found)
}

/// What the plans of a replay share.
struct Around {
    git: Option<Git>,
    /// Whether the surroundings were compared.
    is_known: bool,
    /// The keys of the models that the replay keeps.
    models: BTreeSet<Digest>,
}

/// A plan that is run as a whole: that of a run, or of a trial.
struct Unit {
    trial: Option<u64>,
    plan: Plan,
}

/// Says whether a stage had an output.
fn was_done(record: &StageRecord) -> bool {
    ["cached", "computed", DROPPED, NOT_NEEDED].contains(&record.outcome.as_str())
}

/// Returns the plans of a run. What failed then, or did not run, is left out.
fn units(asked: &Replay<'_>) -> Result<Vec<Unit>, RunError> {
    let recorded = |trial: Option<u64>| -> BTreeSet<&str> {
        let records = asked.run.provenance.stages.iter();
        let records = records.filter(|record| record.trial == trial && was_done(record));
        records.map(|record| record.stage.as_str()).collect()
    };
    let cut = |plan: &Plan, trial: Option<u64>| {
        let known = recorded(trial);
        let is_wanted = |id: &str| match asked.stage {
            Some(stage) => id == stage,
            None => known.contains(id),
        };
        plan.for_stages(|step| is_wanted(&step.id.0))
    };
    let Some(sweep) = asked.spec.sweep.as_ref().filter(|_| asked.run.provenance.sweep.is_some())
    else {
        return Ok(vec![Unit { trial: None, plan: cut(asked.plan, None) }]);
    };
    let mut units = Vec::new();
    for RecordedTrial { number, values, epochs } in recorded_trials(&asked.run.folder)? {
        let values: Vec<_> = values.into_iter().collect();
        let (spec, plan) = trials::open(asked.spec, &values).map_err(|error| RunError::Config {
            stage: "sweep".to_owned(),
            reason: error.to_string(),
        })?;
        let plan = Body { params: spec.params, plan }.plan(sweep.metric.as_ref(), epochs);
        units.push(Unit { trial: Some(number), plan: cut(&plan, Some(number)) });
    }
    Ok(units)
}

/// Replays one plan; returns false after an interruption.
fn one(
    asked: &Replay<'_>,
    unit: &Unit,
    folder: &Path,
    seen: &mut BTreeSet<Digest>,
    around: &mut Around,
    found: &mut Replayed,
    (interrupt, observer, report): (&Interrupt, &dyn Observer, &dyn Report),
) -> Result<bool, RunError> {
    let about = &asked.run.provenance;
    let records: BTreeMap<(&str, u64), &StageRecord> = about
        .stages
        .iter()
        .filter(|record| record.trial == unit.trial)
        .map(|record| ((record.stage.as_str(), record.seed), record))
        .collect();
    let pipeline =
        Pipeline { path: asked.project.root.join(&about.pipeline), ..Pipeline::of(asked.spec) };
    let mut prepared = prepare(pipeline, jobs(&unit.plan)?, asked.settings.clone(), true, report)?;
    let stored = std::mem::replace(&mut prepared.cache, Cache::at(folder));
    if !around.is_known {
        around.is_known = true;
        found.surroundings =
            surroundings::differences(about, prepared.runtime(), around.git.as_ref());
    }
    drop_models(&prepared, around)?;
    if asked.stage.is_some() {
        lend(asked, &mut prepared, &stored);
    }
    let is_expected = |task: &Task| {
        let id = prepared.jobs[task.job].id.as_str();
        records.get(&(id, task.seed)).is_some_and(|record| was_done(record))
    };
    let outcomes = prepared.scheduler(observer, interrupt).run(&|_| ());
    for (outcome, task) in outcomes.into_iter().zip(&prepared.tasks.all) {
        match outcome {
            // Of several seeds, one may have failed then too.
            Outcome::Failed(_) | Outcome::NotRun if !is_expected(task) => {}
            Outcome::Failed(error) => {
                let stage = task.label.clone();
                return Err(StageFailure { stage, ..error }.into());
            }
            Outcome::Interrupted | Outcome::NotRun => return Ok(false),
            Outcome::Cached | Outcome::Computed { .. } => {}
        }
    }
    for (job, seed, task) in prepared.tasks.uses() {
        let (id, task) = (prepared.jobs[job].id.as_str(), &prepared.tasks.all[task]);
        let is_wanted = asked.stage.is_none_or(|stage| stage == id);
        let record = records.get(&(id, seed)).filter(|record| is_wanted && was_done(record));
        let Some(record) = record else { continue };
        if !seen.insert(record.key) {
            continue;
        }
        let trial = unit.trial.map_or(String::new(), |trial| format!(", trial {trial}"));
        let output = format!("{id}{trial}, seed {seed}");
        let then = match stored.find_any(&record.key, Depth::WHOLE) {
            Lookup::Hit(entry) => entry,
            Lookup::Miss if [DROPPED, NOT_NEEDED].contains(&record.outcome.as_str()) => {
                found.incomplete += 1;
                continue;
            }
            Lookup::Miss => {
                let what = "it is no longer stored".to_owned();
                found.differing.push(Differs { output, what, changes: Vec::new() });
                continue;
            }
            Lookup::Damaged(reason) => {
                let what = format!("what is stored has changed since it was written: {reason}");
                found.differing.push(Differs { output, what, changes: Vec::new() });
                continue;
            }
            Lookup::Unreadable(error) => return Err(error.into()),
        };
        let Some(now) = prepared.cache.entry(&task.key) else {
            let what = "the replay has lost its own output".to_owned();
            found.differing.push(Differs { output, what, changes: Vec::new() });
            continue;
        };
        found.compared += 1;
        found.incomplete += usize::from(then.done.is_stripped);
        if let Some(what) = difference::first(&then, &now) {
            let changes = then.material().map_or_else(Vec::new, |material| {
                let stage = |field: &str| {
                    let inputs = &prepared.jobs[job].inputs;
                    let input = inputs.iter().find(|input| input.field == field)?;
                    Some(prepared.jobs[input.step].id.clone())
                };
                changes(&material, &task.material, stage).iter().map(|c| c.to_string()).collect()
            });
            found.differing.push(Differs { output, what, changes });
        }
    }
    Ok(true)
}

/// Removes the models of earlier plans that this one does not use. A later one that does computes
/// them again: hundreds of models would fill a disk.
fn drop_models(prepared: &Prepared<'_>, around: &mut Around) -> Result<(), RunError> {
    let tasks = &prepared.tasks.all;
    let is_used = |key: &Digest| tasks.iter().any(|task| task.key == *key);
    for key in around.models.iter().filter(|key| !is_used(key)) {
        remove_if_there(&prepared.cache.folder(key))?;
    }
    let models = tasks.iter().filter(|task| prepared.jobs[task.job].output.may_be_stripped());
    around.models = models.map(|task| task.key).collect();
    Ok(())
}

/// Lets the replay of one stage read the stored outputs of all others.
fn lend(asked: &Replay<'_>, prepared: &mut Prepared<'_>, stored: &Cache) {
    for task in &prepared.tasks.all {
        let is_replayed = asked.stage == Some(prepared.jobs[task.job].id.as_str());
        if is_replayed {
            continue;
        }
        // What is damaged is computed again.
        if let Some(entry) = stored.find(&task.key, Depth::WHOLE).hit() {
            prepared.cache.lend(entry);
        }
    }
}

/// Returns the folders of replays whose process has died.
pub(in crate::runner) fn leftovers(project: &Project) -> Result<Vec<PathBuf>, RunError> {
    let folder = project.state().join(REPLAYS);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if !KeyLock::is_held(&path.join(LOCK)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
