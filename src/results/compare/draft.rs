//! From rows to recipes.

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use super::comparison::Skipped;
use super::input::{Request, Source};
use crate::data::predictions::Block;
use crate::results::results::display_param;
use crate::results::row::ResultRow;

/// A row with its predictions.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub row: &'a ResultRow,
    pub block: Option<&'a Block>,
    pub fingerprint: Option<&'a str>,
}

/// A recipe before any computation.
pub(super) struct Draft<'a> {
    pub name: String,
    /// The compared rows, by seed.
    pub entries: Vec<Entry<'a>>,
    /// The metric at each of them.
    pub values: Vec<f64>,
    pub skipped: Vec<Skipped>,
    /// Any of its rows, for the properties that all of them share.
    pub row: &'a ResultRow,
    pub runs: Vec<String>,
}

/// Returns the requested rows, each once, with their predictions.
pub(super) fn entries<'a>(sources: &'a [Source], request: &Request) -> Vec<Entry<'a>> {
    let mut seen = IndexSet::new();
    let mut entries = Vec::new();
    for source in sources {
        let blocks: IndexMap<(&str, Option<u64>, u64), &Block> = source
            .predictions
            .iter()
            .map(|block| ((block.tag.stage.as_str(), block.tag.trial, block.tag.seed), block))
            .collect();
        for row in &source.rows {
            let wanted = request.seeds.is_empty() || request.seeds.contains(&row.seed);
            // A run and one of its trials may both be named; a table without runs is identified by
            // its path.
            let run = if row.run.is_empty() { &source.name } else { &row.run };
            let key = (run, &row.stage, row.trial, row.seed, &row.split, params(row));
            if wanted && seen.insert(key) {
                let block = blocks.get(&(row.stage.as_str(), row.trial, row.seed)).copied();
                entries.push(Entry { row, block, fingerprint: source.fingerprint.as_deref() });
            }
        }
    }
    entries
}

/// Groups rows that differ only in the seed. Runs with other seeds add to a recipe. If two runs
/// have the same seed, each run is a recipe of its own: they must differ in something outside the
/// rows.
pub(super) fn drafts<'a>(entries: &[Entry<'a>], metric: &str) -> Vec<Draft<'a>> {
    type Runs<'a> = IndexMap<&'a str, Vec<Entry<'a>>>;
    let mut groups: IndexMap<_, Runs<'a>> = IndexMap::new();
    for entry in entries {
        let row = entry.row;
        let key = (&row.pipeline, &row.stage, row.trial, params(row), entry.fingerprint);
        groups.entry(key).or_default().entry(row.run.as_str()).or_default().push(*entry);
    }
    let mut drafts = Vec::new();
    for runs in groups.into_values() {
        let mut seeds = IndexSet::new();
        let together = runs.values().all(|entries| {
            let own: IndexSet<u64> = entries.iter().map(|entry| entry.row.seed).collect();
            own.into_iter().all(|seed| seeds.insert(seed))
        });
        if together {
            drafts.push(draft(runs.into_values().flatten().collect(), metric));
        } else {
            drafts.extend(runs.into_values().map(|entries| draft(entries, metric)));
        }
    }
    let mut drafts: Vec<Draft<'a>> = drafts.into_iter().flatten().collect();
    name(&mut drafts);
    drafts
}

fn draft<'a>(mut entries: Vec<Entry<'a>>, metric: &str) -> Option<Draft<'a>> {
    let row = entries.first()?.row;
    let runs: IndexSet<&str> = entries.iter().map(|entry| entry.row.run.as_str()).collect();
    let runs = runs.into_iter().map(str::to_owned).collect();
    entries.sort_by_key(|entry| entry.row.seed);
    let (mut kept, mut values, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        let row = entry.row;
        let value = row.metrics.get(metric).copied().filter(|value| value.is_finite());
        match value.filter(|_| row.error.is_none() && row.stopped_epoch.is_none()) {
            Some(value) => {
                kept.push(entry);
                values.push(value);
            }
            None => skipped.push(Skipped {
                seed: row.seed,
                error: row.error.clone(),
                stopped_epoch: row.stopped_epoch,
            }),
        }
    }
    Some(Draft { name: String::new(), entries: kept, values, skipped, row, runs })
}

/// Returns a row's parameters in a form that is the same for the same values.
fn params(row: &ResultRow) -> String {
    row.params.iter().map(|(name, value)| format!("{name}={}\n", plain(value))).collect()
}

/// One number with a decimal point makes a whole column floats, so 16 and 16.0 are the same.
pub(super) fn plain(value: &Value) -> String {
    match value.as_f64() {
        Some(number) => number.to_string(),
        None => value.to_string(),
    }
}

/// Returns the names of the parameters that differ between recipes.
pub(super) fn changed_params(drafts: &[Draft<'_>]) -> Vec<String> {
    let names: IndexSet<&String> =
        drafts.iter().flat_map(|draft| draft.row.params.keys()).collect();
    let differs = |name: &&String| {
        let first = drafts.first().and_then(|draft| draft.row.params.get(*name)).map(plain);
        drafts.iter().any(|draft| draft.row.params.get(*name).map(plain) != first)
    };
    names.into_iter().filter(differs).cloned().collect()
}

/// Names recipes by their differences: pipeline, stage, trial or otherwise parameters, and the run
/// if nothing else differs.
fn name(drafts: &mut [Draft<'_>]) {
    let changed = changed_params(drafts);
    let differs = |of: fn(&ResultRow) -> &str| {
        drafts.iter().map(|draft| of(draft.row)).collect::<IndexSet<&str>>().len() > 1
    };
    let (pipelines, stages) = (differs(|row| &row.pipeline), differs(|row| &row.stage));
    for draft in drafts.iter_mut() {
        let row = draft.row;
        let mut parts = Vec::new();
        if pipelines {
            parts.push(row.pipeline.clone());
        }
        if stages {
            parts.push(row.stage.clone());
        }
        match row.trial {
            Some(trial) => parts.push(format!("trial {trial}")),
            None => parts.extend(changed.iter().filter_map(|name| {
                Some(format!("{name}={}", display_param(row.params.get(name)?)))
            })),
        }
        if parts.is_empty() {
            parts.push(row.stage.clone());
        }
        draft.name = parts.join(", ");
    }
    let mut counts: IndexMap<String, usize> = IndexMap::new();
    drafts.iter().for_each(|draft| *counts.entry(draft.name.clone()).or_default() += 1);
    let runs: IndexSet<String> = drafts.iter().flat_map(|draft| draft.runs.clone()).collect();
    // The end of a run's name is enough to find it, if it is unique.
    let short = |run: &String| {
        let end = run.rsplit('-').next().unwrap_or(run);
        let unique = runs.iter().filter(|other| other.ends_with(end)).count() == 1;
        if unique { end.to_owned() } else { run.clone() }
    };
    for draft in
        drafts.iter_mut().filter(|draft| counts.get(&draft.name).is_some_and(|&count| count > 1))
    {
        let runs: Vec<String> = draft.runs.iter().map(short).collect();
        draft.name = format!("{} (run {})", draft.name, runs.join(" and "));
    }
}
