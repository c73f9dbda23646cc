//! Compares recipes.

use indexmap::{IndexMap, IndexSet};

use super::baseline::{self, list};
use super::comparison::{Against, Comparison, Cost, Recipe, Test};
use super::draft::{self, Draft, Entry};
use super::error::CompareError;
use super::input::{Request, Source};
use super::items::{self, Missing};
use super::{by, examples, notes, ranks, seeds, select, verdict};
use crate::metrics::{self, less_is_better};
use crate::results::format::options::{no_column, sort_value};
use crate::statistics::{Summary, holm, mean};

/// Compares the recipes of all sources with one of them.
pub fn compare(sources: &[Source], request: &Request) -> Result<Comparison, CompareError> {
    let entries = draft::entries(sources, request);
    check_seeds(sources, request)?;
    let (split, left) = split(&entries, request)?;
    let entries: Vec<Entry<'_>> =
        entries.into_iter().filter(|entry| entry.row.split == split).collect();
    let metrics = metrics(&entries, request)?;
    let (metric, others) = match &metrics[..] {
        [metric, others @ ..] => (metric.clone(), others.to_vec()),
        [] => return Err(CompareError::NoRows { left: None }),
    };
    let worse_above = less_is_better(&metric);
    let range = metrics::range(&metric);
    let mut drafts = draft::drafts(&entries, &metric);
    let base = baseline::baseline(&drafts, request.baseline.as_deref())?;
    sort(&mut drafts, base, request.sort_by.as_deref(), &metrics)?;
    let base = base.map(|_| 0);

    let sorted = items::sort(&drafts);
    let test_rows = items::test_rows(&drafts, &sorted, request.different_tests)?;
    let mut against: Vec<_> = (0..drafts.len())
        .map(|place| {
            base.filter(|&base| base != place)
                .and_then(|base| seeds::compare(&drafts, base, place, range))
        })
        .collect();
    correct(&mut against);
    let compared = drafts.len();
    let shown = request.top.map_or(compared, |top| compared.min(top.saturating_add(1)));
    // The bootstrap is skipped for recipes that are not shown.
    let seen: Vec<usize> = (0..shown).filter(|&place| against[place].is_some()).collect();
    let mut missing: IndexSet<(Missing, String)> = IndexSet::new();
    if let Some(base) = base {
        let found = items::compare_all(&drafts, &sorted, base, &seen, &metric);
        for (place, found) in seen.into_iter().zip(found) {
            match (found, &mut against[place]) {
                (Ok(items), Some(against)) => against.items = Some(items),
                (Err(reason), _) => {
                    missing.insert((reason, drafts[place].name.clone()));
                }
                _ => {}
            }
        }
        for (place, against) in against.iter_mut().enumerate() {
            let Some(against) = against else { continue };
            let seeds = match against.test {
                Some(Test::Welch) => drafts[base].values.len().min(drafts[place].values.len()),
                _ => against.seeds.len(),
            };
            against.verdict = verdict::verdict(against, seeds as u64, worse_above);
        }
    }
    let ranks = base.and_then(|base| ranks::ranks(&drafts, base, worse_above));
    let selected = select::selected(&drafts, &sorted, &metric, worse_above);
    let by = request.by.as_deref();
    let by = by.map(|name| by::by(&drafts, name, worse_above, range)).transpose()?;
    let examples = match (&request.examples, base) {
        (Some(name), Some(base)) => {
            let place = match name {
                Some(name) => baseline::find(&drafts, name)?,
                None => best_of_others(&drafts, base, worse_above).ok_or_else(|| {
                    let reason = "there is only one recipe".to_owned();
                    CompareError::NoPredictions { reason }
                })?,
            };
            Some(examples::examples(&drafts, &sorted, base, place, request.most_examples)?)
        }
        _ => None,
    };
    let rank_of = |place: usize| {
        let (_, ranks) = ranks.as_ref()?;
        ranks.iter().find(|(ranked, _)| *ranked == place).map(|(_, rank)| *rank)
    };
    let changed_params = draft::changed_params(&drafts);
    let recipes: Vec<Recipe> = drafts
        .iter()
        .zip(against)
        .enumerate()
        .take(shown)
        .map(|(place, (draft, against))| Recipe {
            is_baseline: base == Some(place),
            is_selected: selected.as_ref().is_some_and(|(best, _)| *best == place),
            rank: rank_of(place),
            against,
            ..recipe(draft, range, &others)
        })
        .collect();
    let runs: IndexSet<&String> = drafts.iter().flat_map(|draft| &draft.runs).collect();
    let mut comparison = Comparison {
        metric,
        other_metrics: others,
        less_is_better: worse_above,
        split,
        baseline: base.map(|base| drafts[base].name.clone()),
        runs: runs.into_iter().cloned().collect(),
        test_rows,
        changed_params,
        recipes,
        compared,
        ranks: ranks.map(|(ranks, _)| ranks),
        selected: selected.map(|(_, selected)| selected),
        by,
        examples,
        notes: Vec::new(),
    };
    comparison.notes = notes::notes(&comparison, &missing, left);
    Ok(comparison)
}

/// Corrects all p values together; recipes without one are left out.
fn correct(against: &mut [Option<Against>]) {
    let tested: Vec<usize> = (0..against.len())
        .filter(|&place| against[place].as_ref().is_some_and(|a| a.p.is_some()))
        .collect();
    let values: Vec<f64> =
        tested.iter().filter_map(|&place| against[place].as_ref().and_then(|a| a.p)).collect();
    for (place, corrected) in tested.into_iter().zip(holm(&values)) {
        if let Some(against) = &mut against[place] {
            against.p_holm = Some(corrected);
        }
    }
}

fn recipe(draft: &Draft<'_>, range: (f64, f64), others: &[String]) -> Recipe {
    let summary = |metric: &String| {
        let value = |entry: &Entry<'_>| entry.row.metrics.get(metric).copied();
        // A mean over some of the seeds would not match the row.
        let values: Option<Vec<f64>> = draft.entries.iter().map(value).collect();
        Some((metric.clone(), Summary::of(&values?, metrics::range(metric))?))
    };
    Recipe {
        name: draft.name.clone(),
        pipeline: draft.row.pipeline.clone(),
        stage: draft.row.stage.clone(),
        trial: draft.row.trial,
        runs: draft.runs.clone(),
        params: draft.row.params.clone(),
        texts: draft.row.n,
        seeds: draft.entries.iter().map(|entry| entry.row.seed).collect(),
        values: draft.values.clone(),
        summary: Summary::of(&draft.values, range),
        others: others.iter().filter_map(summary).collect::<IndexMap<_, _>>(),
        cost: cost(draft),
        skipped: draft.skipped.clone(),
        is_baseline: false,
        is_selected: false,
        rank: None,
        against: None,
    }
}

fn cost(draft: &Draft<'_>) -> Cost {
    let rows = || draft.entries.iter().map(|entry| entry.row);
    let encodings: Option<Vec<f64>> =
        rows().map(|row| row.encodings.map(|count| count as f64)).collect();
    Cost {
        method: draft.row.method.clone(),
        seconds: mean(&rows().map(|row| row.seconds).collect::<Vec<f64>>()),
        encodings: encodings.and_then(|counts| mean(&counts)),
        memory: rows().filter_map(|row| row.peak_memory).max(),
    }
}

/// Fails if no row has a requested seed.
fn check_seeds(sources: &[Source], request: &Request) -> Result<(), CompareError> {
    let found: IndexSet<u64> =
        sources.iter().flat_map(|source| &source.rows).map(|row| row.seed).collect();
    if found.is_empty() {
        let names = sources.iter().map(|source| source.name.as_str());
        return Err(CompareError::NoRows { left: Some(format!(" in {}", list(names))) });
    }
    let absent: Vec<String> =
        request.seeds.iter().filter(|seed| !found.contains(*seed)).map(u64::to_string).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let mut found: Vec<u64> = found.into_iter().collect();
    found.sort_unstable();
    let found: Vec<String> = found.iter().map(u64::to_string).collect();
    let what = if absent.len() == 1 { "seed" } else { "the seeds" };
    Err(CompareError::NoSeeds {
        found: format!("{what} {}", absent.join(", ")),
        hint: format!("the seeds are {}", list(found.iter().map(String::as_str))),
    })
}

/// Returns the split to compare, and the number of rows of other splits.
fn split(
    entries: &[Entry<'_>],
    request: &Request,
) -> Result<(String, IndexMap<String, usize>), CompareError> {
    let mut found: IndexMap<String, usize> = IndexMap::new();
    for entry in entries {
        *found.entry(entry.row.split.clone()).or_default() += 1;
    }
    let default = if found.contains_key("test") { Some("test") } else { None };
    let first = found.keys().next().map(String::as_str);
    let Some(wanted) = request.split.as_deref().or(default).or(first).map(str::to_owned) else {
        return Err(CompareError::NoRows { left: None });
    };
    if found.shift_remove(&wanted).is_none() {
        let hint = format!("the splits are {}", list(found.keys().map(String::as_str)));
        return Err(CompareError::NoSplit { split: wanted, hint });
    }
    Ok((wanted, found))
}

/// Returns the requested metrics; the first one decides.
fn metrics(entries: &[Entry<'_>], request: &Request) -> Result<Vec<String>, CompareError> {
    let known: IndexSet<&str> =
        entries.iter().flat_map(|entry| entry.row.metrics.keys()).map(String::as_str).collect();
    if request.metrics.is_empty() {
        let default = metrics::main_metrics(|name| known.contains(name)).next();
        return match default.or(known.first().copied()) {
            Some(name) => Ok(vec![name.to_owned()]),
            None => {
                let error = entries.iter().find_map(|entry| entry.row.error.as_deref());
                Err(CompareError::NoRows {
                    left: error.map(|error| format!(": all failed, for example with `{error}`")),
                })
            }
        };
    }
    for name in &request.metrics {
        if !known.contains(name.as_str()) {
            return Err(no_column("metric", name, known.into_iter()).into());
        }
    }
    Ok(request.metrics.clone())
}

/// Puts the baseline first and sorts the others; recipes without results come last.
fn sort(
    drafts: &mut Vec<Draft<'_>>,
    baseline: Option<usize>,
    column: Option<&str>,
    metrics: &[String],
) -> Result<(), CompareError> {
    if let Some(column) = column {
        let fixed = ["stage", "trial", "n", "steps", "seconds"];
        let known: IndexSet<&str> = drafts
            .iter()
            .flat_map(|draft| draft.row.params.keys().chain(draft.row.metrics.keys()))
            .chain(metrics)
            .map(String::as_str)
            .chain(fixed)
            .collect();
        let name =
            ["params.", "param."].iter().find_map(|p| column.strip_prefix(p)).unwrap_or(column);
        if !known.contains(name) {
            return Err(no_column("column to sort by", column, known.into_iter()).into());
        }
        let first = baseline.map(|baseline| drafts.remove(baseline));
        let key = |draft: &Draft<'_>| {
            let rows: Vec<_> = draft.entries.iter().map(|entry| entry.row).collect();
            if rows.is_empty() { sort_value(&[draft.row], name) } else { sort_value(&rows, name) }
        };
        drafts.sort_by_cached_key(|draft| Order(key(draft)));
        drafts.splice(0..0, first);
    } else if let Some(baseline) = baseline {
        let first = drafts.remove(baseline);
        drafts.insert(0, first);
    }
    drafts.sort_by_key(|draft| draft.values.is_empty());
    Ok(())
}

/// The sort key of recipes.
struct Order(crate::results::format::options::SortValue);

impl PartialEq for Order {
    fn eq(&self, other: &Order) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Order {}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Order) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Order {
    fn cmp(&self, other: &Order) -> std::cmp::Ordering {
        self.0.order(&other.0)
    }
}

/// Returns the index of the recipe with the best mean, except the baseline.
fn best_of_others(drafts: &[Draft<'_>], baseline: usize, less_is_better: bool) -> Option<usize> {
    let sign = if less_is_better { -1.0 } else { 1.0 };
    let means = drafts.iter().enumerate().filter(|(place, _)| *place != baseline);
    means
        .filter_map(|(place, draft)| Some((place, mean(&draft.values)?)))
        .reduce(|best, other| if sign * other.1 > sign * best.1 { other } else { best })
        .map(|(place, _)| place)
}
