//! Reads everything that a report shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::content::{Content, LINES, RunContent};
use super::tally::Tally;
use super::training::Training;
use super::trial::{Trial, Trials};
use crate::base::digests;
use crate::data::Tag;
use crate::data::curves::{self, CurvePoint};
use crate::metrics::main_metrics;
use crate::results::compare::{self, CompareError, Comparison, Recipe, Source};
use crate::results::row::ResultRow;
use crate::runner::Project;
use crate::runner::record::provenance::StageRecord;
use crate::runner::record::runs::Run;
use crate::statistics::mean;

/// The most rows of the table; the whole table is in the files.
const MOST_RECIPES: usize = 200;
/// The folder of a sweep's trials in its run's folder.
const TRIALS: &str = "trials";

/// What is asked of a report.
#[derive(Debug)]
pub struct Request<'a> {
    /// The results to report on.
    pub sources: &'a [Source],
    /// The project whose runs they are.
    pub project: &'a Project,
    /// The metric to judge by; by default macro F1.
    pub metric: Option<&'a str>,
    /// The split whose results count; by default test.
    pub split: Option<&'a str>,
    /// The recipe to compare with; by default the first.
    pub baseline: Option<&'a str>,
    /// Whether recipes that were tested on different rows are compared.
    pub different_tests: bool,
}

/// The content of a report, and the folder that it is written to by default.
#[derive(Debug)]
pub struct Gathered {
    pub content: Content,
    pub folder: PathBuf,
}

/// A table of results and its folder.
struct Place<'a> {
    source: &'a Source,
    folder: PathBuf,
    run: Option<Run>,
}

/// The curves of one training.
type Block = (Tag, Vec<CurvePoint>);

/// Compares results, and reads what lies beside them.
///
/// # Errors
///
/// Fails where the results cannot be compared.
pub fn gather(asked: &Request<'_>) -> Result<Gathered, CompareError> {
    let Request { sources, project, .. } = asked;
    let mut gaps = Vec::new();
    let places: Vec<Place<'_>> =
        sources.iter().map(|source| place(project, source, &mut gaps)).collect();
    let rows: Vec<&ResultRow> = sources.iter().flat_map(|source| &source.rows).collect();
    let metrics = metrics(&rows, asked.metric);
    let request = compare::Request {
        sort_by: metrics
            .first()
            .filter(|metric| rows.iter().any(|row| row.metrics.contains_key(*metric)))
            .cloned(),
        metrics,
        split: asked.split.map(str::to_owned),
        baseline: asked.baseline.map(str::to_owned),
        top: Some(MOST_RECIPES - 1),
        different_tests: asked.different_tests,
        ..compare::Request::default()
    };
    let comparison = compare::compare(sources, &request)?;
    let errors = errors(&rows);
    let rows: Vec<&ResultRow> =
        rows.into_iter().filter(|row| row.split == comparison.split).collect();
    let content = Content {
        runs: runs(&places, &mut gaps),
        trainings: trainings(&places, &comparison, &mut gaps),
        trials: trials(&rows, &comparison),
        tallies: tallies(&places, &comparison),
        errors,
        gaps,
        comparison,
    };
    let folder = places.first().map(|place| match &place.run {
        // The report of a trial is written to the trial's folder.
        Some(run) if !place.folder.starts_with(run.folder.join(TRIALS)) => run.folder.clone(),
        _ => place.folder.clone(),
    });
    Ok(Gathered { content, folder: folder.unwrap_or_default() })
}

/// Finds the folder of a source. Its name is either the given path or the name of its run.
fn place<'a>(project: &Project, source: &'a Source, gaps: &mut Vec<String>) -> Place<'a> {
    let given = Path::new(&source.name);
    let folder = match given {
        file if file.is_file() => file.parent().map(Path::to_owned).unwrap_or_default(),
        folder if folder.is_dir() => folder.to_owned(),
        name => project.runs().join(name),
    };
    let own = folder.ancestors().take(3).find(|folder| Run::is_in(folder));
    let run = own.and_then(|own| match Run::open(own) {
        Ok(run) => Some(run),
        Err(error) => {
            gaps.push(format!("where the numbers are from is not known: {error}"));
            None
        }
    });
    Place { source, folder, run }
}

/// Returns the compared metric and, beside it, accuracy or macro F1.
fn metrics(rows: &[&ResultRow], asked: Option<&str>) -> Vec<String> {
    let is_known = |name: &str| rows.iter().any(|row| row.metrics.contains_key(name));
    let mut metrics: Vec<&str> = match asked {
        Some(metric) => vec![metric],
        None => main_metrics(is_known).take(1).collect(),
    };
    if let [judged] = metrics[..] {
        metrics.extend(main_metrics(is_known).find(|name| *name != judged));
    }
    metrics.into_iter().map(str::to_owned).collect()
}

fn runs(places: &[Place<'_>], gaps: &mut Vec<String>) -> Vec<RunContent> {
    let mut found: IndexMap<&str, RunContent> = IndexMap::new();
    for run in places.iter().filter_map(|place| place.run.as_ref()) {
        found.entry(&run.provenance.run).or_insert_with(|| {
            let resolved = digests::read(&run.folder.join("resolved.yaml"));
            RunContent {
                provenance: run.provenance.clone(),
                status: run.status().to_owned(),
                resolved: resolved.map_or_else(
                    |error| {
                        gaps.push(format!("the pipeline cannot be shown: {error}"));
                        None
                    },
                    |bytes| Some(String::from_utf8_lossy(&bytes).into_owned()),
                ),
            }
        });
    }
    found.into_values().collect()
}

/// Returns the recipes that are drawn as lines, with their places.
fn drawn(comparison: &Comparison) -> impl Iterator<Item = (usize, &Recipe)> {
    let with_values =
        comparison.recipes.iter().enumerate().filter(|(_, recipe)| recipe.summary.is_some());
    with_values.take(LINES)
}

/// Returns the places that hold rows of a recipe.
fn places_of<'a>(places: &'a [Place<'a>], recipe: &Recipe) -> impl Iterator<Item = &'a Place<'a>> {
    places.iter().filter(|place| place.source.rows.iter().any(|row| recipe.runs.contains(&row.run)))
}

fn trainings(
    places: &[Place<'_>],
    comparison: &Comparison,
    gaps: &mut Vec<String>,
) -> Vec<Training> {
    let mut read: BTreeMap<PathBuf, Vec<Block>> = BTreeMap::new();
    let mut found = Vec::new();
    for (slot, recipe) in drawn(comparison) {
        let mut seeds: BTreeMap<u64, Vec<CurvePoint>> = BTreeMap::new();
        for place in places_of(places, recipe) {
            let own = recipe.trial.map(|trial| place.folder.join(TRIALS).join(trial.to_string()));
            let own = own.filter(|folder| folder.is_dir());
            // The curves of a run's own folder may include its trials.
            for (folder, is_own) in
                std::iter::once((&place.folder, false)).chain(own.as_ref().map(|own| (own, true)))
            {
                let blocks = read.entry(folder.clone()).or_insert_with(|| {
                    curves::read_run(folder).unwrap_or_else(|error| {
                        gaps.push(format!("the curves cannot be drawn: {error}"));
                        Vec::new()
                    })
                });
                let records = place.run.as_ref().map_or(&[][..], |run| &run.provenance.stages);
                let stage = training_stage(records, (&recipe.stage, recipe.trial), blocks);
                let is_it = |tag: &Tag| {
                    let same_trial = tag.trial == recipe.trial
                        || (tag.trial.is_none() && (is_own || own.is_none()));
                    Some(&tag.stage) == stage.as_ref()
                        && same_trial
                        && recipe.seeds.contains(&tag.seed)
                };
                for (tag, points) in blocks.iter().filter(|(tag, _)| is_it(tag)) {
                    seeds.insert(tag.seed, points.clone());
                }
            }
        }
        if !seeds.is_empty() {
            found.push(Training {
                name: recipe.name.clone(),
                slot,
                method: recipe.cost.method.clone(),
                seeds: seeds.into_iter().collect(),
            });
        }
    }
    found
}

/// Returns the `train` stage whose model an `evaluate` stage uses: from the run's record, or the
/// only one with curves.
fn training_stage(
    records: &[StageRecord],
    (evaluate, trial): (&str, Option<u64>),
    blocks: &[Block],
) -> Option<String> {
    let is_it = |record: &&StageRecord| {
        record.stage == evaluate && (record.trial.is_none() || record.trial == trial)
    };
    let recorded = records.iter().filter(is_it).find_map(|record| record.inputs.get("model"));
    recorded.cloned().or_else(|| {
        let stages: BTreeSet<&String> = blocks.iter().map(|(tag, _)| &tag.stage).collect();
        stages.first().filter(|_| stages.len() == 1).map(|stage| (*stage).clone())
    })
}

/// Returns the trials of a sweep; `None` if there are fewer than two.
fn trials(rows: &[&ResultRow], comparison: &Comparison) -> Option<Trials> {
    let stages: BTreeSet<&str> = rows.iter().map(|row| row.stage.as_str()).collect();
    let runs: BTreeSet<&str> = rows.iter().map(|row| row.run.as_str()).collect();
    let mut groups: IndexMap<(&str, &str, u64), Vec<&ResultRow>> = IndexMap::new();
    for row in rows {
        if let Some(trial) = row.trial {
            groups.entry((&row.run, &row.stage, trial)).or_default().push(row);
        }
    }
    if groups.len() < 2 {
        return None;
    }
    let all = groups
        .into_iter()
        .map(|((run, stage, trial), rows)| {
            let values: Vec<f64> = rows
                .iter()
                .filter_map(|row| row.metrics.get(&comparison.metric).copied())
                .collect();
            let mut parts = vec![format!("trial {trial}")];
            if stages.len() > 1 {
                parts.insert(0, stage.to_owned());
            }
            if runs.len() > 1 {
                parts.push(run.to_owned());
            }
            Trial {
                name: parts.join(", "),
                params: rows.first().map(|row| row.params.clone()).unwrap_or_default(),
                value: mean(&values),
                was_stopped: rows.iter().any(|row| row.stopped_epoch.is_some()),
            }
        })
        .collect();
    Some(Trials {
        metric: comparison.metric.clone(),
        less_is_better: comparison.less_is_better,
        params: comparison.changed_params.clone(),
        all,
    })
}

fn tallies(places: &[Place<'_>], comparison: &Comparison) -> Vec<Tally> {
    drawn(comparison).filter_map(|(_, recipe)| tally(places, recipe)).collect()
}

/// Sums the confusion counts of a recipe; `None` without predictions.
fn tally(places: &[Place<'_>], recipe: &Recipe) -> Option<Tally> {
    let blocks =
        places_of(places, recipe).flat_map(|place| &place.source.predictions).filter(|block| {
            block.tag.stage == recipe.stage
                && block.tag.trial == recipe.trial
                && recipe.seeds.contains(&block.tag.seed)
        });
    let mut labels: Vec<String> = Vec::new();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut seeds = BTreeSet::new();
    for block in blocks {
        // The same seed of several runs is the same training.
        if !seeds.insert(block.tag.seed) {
            continue;
        }
        let place: Vec<usize> = block
            .labels
            .iter()
            .map(|label| {
                labels.iter().position(|known| known == label).unwrap_or_else(|| {
                    labels.push(label.clone());
                    labels.len() - 1
                })
            })
            .collect();
        pairs.extend(block.rows.iter().map(|row| (place[row.label], place[row.prediction])));
    }
    let mut counts = vec![vec![0; labels.len()]; labels.len()];
    pairs.iter().for_each(|(label, prediction)| counts[*label][*prediction] += 1);
    (!pairs.is_empty()).then(|| Tally {
        name: recipe.name.clone(),
        labels,
        counts,
        seeds: seeds.len(),
    })
}

fn errors(rows: &[&ResultRow]) -> Vec<(String, String)> {
    let place = |row: &ResultRow| match row.trial {
        Some(trial) => format!("trial {trial}, {}, seed {}", row.stage, row.seed),
        None => format!("{}, seed {}", row.stage, row.seed),
    };
    let failed = rows.iter().filter_map(|row| Some((place(row), row.error.clone()?)));
    failed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;

    #[test]
    fn an_evaluation_finds_its_training() {
        let record = |stage: &str, trial, model: Option<&str>| StageRecord {
            stage: stage.into(),
            trial,
            seed: 1,
            key: Digest::of(b""),
            inputs: model.map(|model| ("model".into(), model.into())).into_iter().collect(),
            outcome: "computed".into(),
            seconds: None,
        };
        let block = |stage: &str| (Tag { stage: stage.into(), trial: None, seed: 1 }, Vec::new());
        let records = [
            record("one", None, None),
            record("score", Some(1), Some("one")),
            record("score", Some(2), Some("two")),
            record("other", None, Some("one")),
        ];
        let both = [block("one"), block("two")];
        let of = |stage: &str, trial| training_stage(&records, (stage, trial), &both);
        assert_eq!(of("score", Some(2)).as_deref(), Some("two"));
        assert_eq!(of("other", None).as_deref(), Some("one"));
        assert_eq!(of("new", None), None);
        let old = [record("score", None, None)];
        let of = |blocks: &[Block]| training_stage(&old, ("score", None), blocks);
        assert_eq!(of(&both), None, "a record of an earlier version has no inputs");
        assert_eq!(of(&both[1..]).as_deref(), Some("two"), "the only training");
    }
}
