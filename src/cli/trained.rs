//! Finds the model that an argument names: a stage of a run, a folder or an ONNX file.

use std::collections::BTreeSet;
use std::path::Path;

use super::args::ModelChoice;
use super::exit::Exit;
use super::failure::Failure;
use super::open;
use super::printer::Printer;
use crate::metrics::MAIN;
use crate::pipeline::problem::suggest;
use crate::predict::model;
use crate::results::results::ResultTable;
use crate::runner::Project;
use crate::runner::cache::cache::Cache;
use crate::runner::cache::entry::Depth;
use crate::runner::record::provenance::StageRecord;
use crate::runner::record::runs::{self, Run};
use crate::stages::TrainedModel;

/// A model that was found.
pub struct Found {
    pub model: TrainedModel,
    /// What it is, for people.
    pub what: String,
}

/// Finds the model that an argument names.
pub fn find(choice: &ModelChoice, printer: &Printer) -> Result<Found, Failure> {
    let name = &choice.model;
    let path = Path::new(name);
    let is_run = Run::is_in(path);
    if path.exists() && !is_run {
        if choice.seed.is_some() || choice.trial.is_some() {
            let hint = "a run has seeds and trials; leave them out".to_owned();
            return Err(Failure::usage(format!("`{name}` is one model"), Some(hint)));
        }
        let model =
            model::open(path).map_err(|error| Failure::Other { exit: Exit::Usage, error })?;
        return Ok(Found { model, what: format!("`{name}`") });
    }
    let (run, stage) = match name.rsplit_once(':') {
        Some((run, stage)) if !stage.is_empty() && !run.is_empty() => (run, Some(stage)),
        _ => (name.as_str(), None),
    };
    let project = Project::here()?;
    let run = runs::find(&project, Some(run))?;
    let project = run.project();
    let record = chosen(&project, &run, stage, choice, printer)?;
    let (stage, trial, seed) = (&record.stage, record.trial, record.seed);
    let model = open::output(&project, &run, stage, trial, seed, TrainedModel::read)?;
    Ok(Found { model, what: format!("{} of the run {}", told(record), run.provenance.run) })
}

/// Says which output of a stage it is.
fn told(record: &StageRecord) -> String {
    let trial = record.trial.map_or(String::new(), |trial| format!(", trial {trial}"));
    format!("`{}` (seed {}{trial})", record.stage, record.seed)
}

/// Returns the model of a run: the only one that was asked for, or the best on dev.
fn chosen<'r>(
    project: &Project,
    run: &'r Run,
    stage: Option<&str>,
    choice: &ModelChoice,
    printer: &Printer,
) -> Result<&'r StageRecord, Failure> {
    let cache = Cache::new(project);
    let name = &run.provenance.run;
    let mut seen = BTreeSet::new();
    let models: Vec<&StageRecord> = run
        .provenance
        .stages
        .iter()
        .filter(|record| ["cached", "computed"].contains(&record.outcome.as_str()))
        .filter(|record| {
            let entry = cache.find_any(&record.key, Depth::Sizes).hit();
            entry.is_some_and(|entry| TrainedModel::is_in(&entry.output()))
        })
        .filter(|record| seen.insert((record.stage.as_str(), record.key)))
        .collect();
    let names: BTreeSet<&str> = models.iter().map(|record| record.stage.as_str()).collect();
    if names.is_empty() {
        let hint = format!("`pipe {} {}` computes them", run.verb(), run.provenance.pipeline);
        return Err(Failure::usage(format!("the run `{name}` has no models here"), Some(hint)));
    }
    if let Some(stage) = stage.filter(|stage| !names.contains(stage)) {
        let hint = suggest::hint(stage, "its models are", names.into_iter().collect::<Vec<_>>());
        return Err(Failure::usage(format!("the run `{name}` has no model `{stage}`"), hint));
    }
    let asked = |record: &&&StageRecord| {
        stage.is_none_or(|stage| record.stage == stage)
            && choice.seed.is_none_or(|seed| record.seed == seed)
            && choice.trial.is_none_or(|trial| record.trial == Some(trial))
    };
    let found: Vec<&StageRecord> = models.iter().filter(asked).copied().collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let seeds: BTreeSet<String> = models.iter().map(|record| told(record)).collect();
            let all: Vec<String> = seeds.into_iter().take(10).collect();
            let hint = format!("it has {}", all.join(", "));
            Err(Failure::usage(format!("the run `{name}` has no such model"), Some(hint)))
        }
        _ => best(run, &found, printer),
    }
}

/// Returns the best of several models by its score on dev: test chooses nothing.
fn best<'r>(
    run: &Run,
    models: &[&'r StageRecord],
    printer: &Printer,
) -> Result<&'r StageRecord, Failure> {
    let metric = MAIN[0].name;
    let table = ResultTable::read(&run.folder).ok();
    let rows = table.iter().flat_map(|table| &table.rows);
    let on_dev: Vec<_> = rows.filter(|row| row.split == "dev").collect();
    let scorers = |model: &StageRecord| {
        let (stage, trial, seed) = (model.stage.clone(), model.trial, model.seed);
        let of_model = move |record: &&StageRecord| {
            record.inputs.get("model") == Some(&stage)
                && (record.trial, record.seed) == (trial, seed)
        };
        run.provenance.stages.iter().filter(of_model).collect::<Vec<_>>()
    };
    let score = |model: &StageRecord| {
        let scorers = scorers(model);
        let row = on_dev.iter().find(|row| {
            scorers.iter().any(|record| {
                (&record.stage, record.trial, record.seed) == (&row.stage, row.trial, row.seed)
            })
        })?;
        row.metrics.get(metric).copied()
    };
    let scored: Option<Vec<(f64, &StageRecord)>> =
        models.iter().map(|model| Some((score(model)?, *model))).collect();
    let best = scored
        .unwrap_or_default()
        .into_iter()
        .reduce(|best, next| if next.0 > best.0 { next } else { best });
    match best {
        Some((score, model)) => {
            printer.status(&format!(
                "{} is the best of {} models: {metric} {score:.4} on dev",
                told(model),
                models.len()
            ));
            Ok(model)
        }
        None => {
            let name = &run.provenance.run;
            let all: Vec<String> = models.iter().take(10).map(|model| told(model)).collect();
            let more = models.len().saturating_sub(all.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let hint = format!(
                "not all have scores on dev to choose by; name one, such as `{name}:{}`, with \
                 `--seed` or `--trial` where that is not enough: {}{more}",
                models.first().map_or("", |model| &model.stage),
                all.join(", ")
            );
            Err(Failure::usage(format!("the run `{name}` has {} models", models.len()), Some(hint)))
        }
    }
}
