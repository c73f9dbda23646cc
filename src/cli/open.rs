//! Opens the pipeline of the arguments with its keys, and the outputs of a run.

use std::path::Path;

use serde_json::Value;

use super::args::{FileArgs, KeyArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::progress::Preparation;
use crate::dag::{self, Plan};
use crate::pipeline::Spec;
use crate::pipeline::problem::suggest;
use crate::runner::cache::cache::{Cache, Unread};
use crate::runner::record::runs::Run;
use crate::runner::{Pipeline, Prepared, Project, Settings, jobs, prepare};
use crate::stages::{StageError, StageId};

/// Reads and checks a pipeline file.
pub fn file(args: &FileArgs) -> Result<(Spec, Plan), Failure> {
    Ok(dag::open(&args.file, &args.set)?)
}

/// Refuses values of `-S` that a run does not read.
pub fn check_reach(args: &FileArgs, keys: &KeyArgs) -> Result<(), Failure> {
    let sets = |name: &str| args.set.iter().any(|one| one.key.split('.').next() == Some(name));
    if sets("sweep") {
        let hint = "`pipe sweep` reads the settings below `sweep`".to_owned();
        return Err(Failure::usage("this command does not sweep", Some(hint)));
    }
    if sets("seed") && keys.seeds.is_some() {
        return Err(both_set("seed"));
    }
    Ok(())
}

/// Returns the failure of seeds that are given in two ways.
pub fn both_set(key: &str) -> Failure {
    let message = format!("`-S {key}` and `--seeds` both set the seeds");
    Failure::usage(message, Some("leave one of them out".to_owned()))
}

/// Warns about stages whose output nothing uses, not even a trial of the sweep.
pub fn warn_of_idle(spec: &Spec, plan: &Plan, printer: &Printer) {
    let swept = serde_json::json!(spec.sweep.as_ref().map(|sweep| &sweep.parameters));
    for id in plan.idle().into_iter().filter(|id| !names(&swept, &id.0)) {
        printer.warning(&format!(
            "no stage uses the data of `{id}`; remove it, or name it where it is meant"
        ));
    }
}

/// Says whether a text is this name, or one below is.
fn names(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text == name,
        Value::Array(items) => items.iter().any(|item| names(item, name)),
        Value::Object(map) => map.values().any(|item| names(item, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns the id of a stage of the plan.
pub fn stage(plan: &Plan, name: &str) -> Result<StageId, Failure> {
    let names = || plan.steps.iter().map(|step| step.id.0.as_str());
    match plan.steps.iter().find(|step| step.id.0 == name) {
        Some(step) => Ok(step.id.clone()),
        None => {
            let hint = suggest::hint(name, "the stages are", names().collect::<Vec<_>>());
            Err(Failure::usage(format!("there is no stage `{name}`"), hint))
        }
    }
}

/// The settings of a run that are not part of the keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    pub workers: usize,
    pub keep_going: bool,
    pub force: bool,
    /// Whether a missing runtime is installed; read-only commands do not install it.
    pub install: bool,
}

/// Computes the keys of a plan.
pub fn keys<'a>(
    spec: &Spec,
    plan: &'a Plan,
    args: &KeyArgs,
    manner: Manner,
    printer: &Printer,
) -> Result<Prepared<'a>, Failure> {
    let pipeline = Pipeline::of(spec);
    let settings = Settings {
        seeds: args.seeds.as_ref().map_or_else(|| vec![spec.seed], |seeds| seeds.0.clone()),
        workers: manner.workers.max(1),
        keep_going: manner.keep_going,
        force: manner.force,
        device: args.device,
        threads: threads(args.threads),
        command: command_line(),
    };
    let preparation = Preparation::new(printer);
    prepare(pipeline, jobs(plan)?, settings, manner.install, &preparation)
        .map_err(Failure::before_anything_ran)
}

/// Returns the number of engine threads: the requested number, or the number of cores.
pub fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// Returns the command line, for the record.
pub fn command_line() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// Reads a stage's output from the cache; all its files are compared with their digests first.
pub fn output<T>(
    project: &Project,
    run: &Run,
    stage: &str,
    trial: Option<u64>,
    seed: u64,
    take: impl FnOnce(&Path) -> Result<T, StageError>,
) -> Result<T, Failure> {
    let mut records = run.provenance.stages.iter();
    let record = records
        .find(|record| record.stage == stage && record.trial == trial && record.seed == seed);
    let read = record.map(|record| Cache::new(project).read_whole(&record.key, take));
    match read {
        Some(Ok(value)) => Ok(value),
        Some(Err(Unread::Failed(error))) => Err(Failure::Other { exit: Exit::Failed, error }),
        None | Some(Err(Unread::Lost(_))) => {
            let (file, outcome) =
                (&run.provenance.pipeline, record.map(|record| record.outcome.as_str()));
            let done = matches!(outcome, Some("computed" | "cached"));
            let message = match outcome {
                Some(outcome) if !done => {
                    format!("stage `{stage}` has no output in this run: {outcome}")
                }
                _ => match read {
                    Some(Err(Unread::Lost(reason))) => {
                        format!("the output of stage `{stage}` cannot be used: {reason}")
                    }
                    _ => format!("the run has no stage `{stage}` for this seed"),
                },
            };
            let hint = if done { "computes it again" } else { "resumes the run" };
            let verb = run.verb();
            Err(Failure::usage(message, Some(format!("`pipe {verb} {file}` {hint}"))))
        }
    }
}
