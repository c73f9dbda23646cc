//! The tables of a run, gathered from the outputs of its stages.

use std::path::Path;

use indexmap::IndexMap;

use crate::base::files::AtomicFiles;
use crate::data::{AugmentationRow, Curves, Tag, augmentation, curves, predictions};
use crate::metrics;
use crate::results::results::ResultTable;
use crate::results::row::ResultRow;
use crate::runner::cache::cache::{Cache, Unread};
use crate::runner::error::{OutputLost, Phase, RunError, StageFailure};
use crate::runner::job::Job;
use crate::runner::record::provenance::Best;
use crate::runner::run::pipeline::Pipeline;
use crate::runner::run::scheduler::Outcome;
use crate::runner::run::tasks::Tasks;
use crate::stages::{Evaluation, Kind, StageError, Summary};

/// The sources of a run's tables.
pub(in crate::runner) struct Outputs<'a> {
    /// The run's id.
    pub run: &'a str,
    pub pipeline: &'a Pipeline,
    pub jobs: &'a [Job<'a>],
    pub tasks: &'a Tasks,
    pub outcomes: &'a [Outcome],
    pub cache: &'a Cache,
    /// The trial of a sweep.
    pub trial: Option<u64>,
}

/// Writes the tables of all finished tasks into a run's folder: `results.parquet`, `results.csv`,
/// `predictions.parquet`, `curves.parquet` and, if texts were generated, `augmentation.parquet` and
/// `augmentation.csv`.
pub(in crate::runner) fn write(folder: &Path, from: &Outputs<'_>) -> Result<ResultTable, RunError> {
    let mut files = AtomicFiles::new(folder);
    let evaluations = add_details(&mut files, from)?;
    let rows = evaluations
        .iter()
        .map(|(tag, evaluation)| row(from.run, from.pipeline, tag, &evaluation.summary()));
    let table = ResultTable { rows: rows.collect() };
    table.add_to(&mut files)?;
    files.add_digests()?;
    files.commit()?;
    Ok(table)
}

/// Says whether the records of a kind go into the tables.
pub(in crate::runner) fn reads(kind: Kind) -> bool {
    kind.has_scores() || kind.curves.is_some() || kind.augmentation.is_some()
}

/// Adds the same tables except the results to `files`, and returns the evaluations.
pub(in crate::runner) fn add_details(
    files: &mut AtomicFiles,
    from: &Outputs<'_>,
) -> Result<Vec<(Tag, Evaluation)>, RunError> {
    let Outputs { jobs, tasks, outcomes, cache, trial, .. } = *from;
    let mut evaluations: Vec<(Tag, Evaluation)> = Vec::new();
    let mut all_curves: Vec<(Tag, Curves)> = Vec::new();
    let mut augmented: Vec<(Tag, Vec<AugmentationRow>)> = Vec::new();
    for (job, seed, task) in tasks.uses().filter(|(_, _, task)| outcomes[*task].is_done()) {
        let task = &tasks.all[task];
        let tag = Tag { stage: jobs[job].id.clone(), trial, seed };
        let failed = |unread: Unread| StageFailure {
            stage: task.label.clone(),
            phase: Phase::After,
            error: match unread {
                Unread::Failed(error) => error,
                Unread::Lost(reason) => {
                    Box::new(OutputLost { stage: jobs[job].id.clone(), reason }) as StageError
                }
            },
        };
        let kind = jobs[job].output;
        if let Some(scores) = kind.scores {
            let whole = cache.read_records(kind, &task.key, scores.whole).map_err(failed)?;
            evaluations.push((tag.clone(), whole));
        }
        if let Some(curves) = kind.curves {
            let take = |folder: &Path| Ok(curves(folder)?);
            let curves = cache.read_records(kind, &task.key, take).map_err(failed)?;
            all_curves.push((tag.clone(), curves));
        }
        if let Some(augmentation) = kind.augmentation {
            let take = |folder: &Path| Ok(augmentation(folder)?);
            let table = cache.read_records(kind, &task.key, take).map_err(failed)?;
            if !table.rows.is_empty() {
                augmented.push((tag, table.last_pass().cloned().collect()));
            }
        }
    }
    let blocks: Vec<_> = evaluations
        .iter()
        .map(|(tag, e)| (tag.clone(), e.labels.as_slice(), e.predictions.as_slice()))
        .collect();
    predictions::add_run(files, &blocks)?;
    let blocks: Vec<(Tag, &Curves)> =
        all_curves.iter().map(|(tag, curves)| (tag.clone(), curves)).collect();
    curves::add_run(files, &blocks)?;
    augmentation::add_run(files, &augmented)?;
    Ok(evaluations)
}

/// Returns the evaluate stage with the best mean of its main metric: macro F1 if there is one, else
/// accuracy.
pub(in crate::runner) fn best(table: &ResultTable) -> Option<Best> {
    let names = table.metric_names();
    let metric = metrics::main_metrics(|name| names.contains(name)).next()?;
    let mut values: IndexMap<(&str, &str), Vec<f64>> = IndexMap::new();
    for row in &table.rows {
        let found = row.metrics.get(metric).copied();
        values
            .entry((&row.stage, &row.split))
            .or_default()
            .extend(found.filter(|value| value.is_finite()));
    }
    values
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|((stage, _), values)| (*stage, values.iter().sum::<f64>() / values.len() as f64))
        .reduce(|best, other| if other.1 > best.1 { other } else { best })
        .map(|(stage, value)| Best { stage: stage.to_owned(), metric: metric.to_owned(), value })
}

/// Returns the result row of an evaluation.
pub(in crate::runner) fn row(
    run: &str,
    pipeline: &Pipeline,
    tag: &Tag,
    evaluation: &Summary,
) -> ResultRow {
    ResultRow {
        run: run.to_owned(),
        pipeline: pipeline.name.clone(),
        stage: tag.stage.clone(),
        trial: tag.trial,
        seed: tag.seed,
        split: evaluation.split.to_string(),
        n: evaluation.n as u64,
        params: pipeline.params.clone(),
        metrics: evaluation.metrics.clone(),
        steps: evaluation.training.steps,
        seconds: evaluation.training.seconds,
        method: evaluation.training.method.clone(),
        chosen: evaluation.training.chosen.clone(),
        encodings: evaluation.training.encodings,
        peak_memory: evaluation.training.peak_memory,
        backend: evaluation.training.backend.clone(),
        backend_reason: evaluation.training.backend_reason.clone(),
        initial_weights: evaluation.training.initial_weights.clone(),
        device: evaluation.training.device.clone(),
        augmentation: evaluation.training.augmentation,
        parts: evaluation.training.parts,
        stopped_epoch: None,
        error: None,
    }
}
