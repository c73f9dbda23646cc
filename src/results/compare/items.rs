//! The comparison over single test texts.

use indexmap::IndexMap;

use super::comparison::{Items, TestRows};
use super::draft::{Draft, Entry};
use super::error::CompareError;
use crate::base::digest::Digest;
use crate::base::seed;
use crate::data::predictions::Block;
use crate::metrics::{Row, Weighted, reads_probabilities};
use crate::statistics::{Interval, mcnemar, paired_bootstrap, twice_the_median};

/// The number of resamples of a paired bootstrap.
const RESAMPLES: usize = 10_000;

/// The predictions of one row, sorted by ids, texts and labels, so that two rows are aligned.
pub(super) struct Sorted<'a> {
    pub block: &'a Block,
    pub order: Vec<usize>,
    pub digest: Digest,
}

/// Sorted predictions by the index of their recipe and of their row in it.
pub(super) type AllSorted<'a> = IndexMap<(usize, usize), Sorted<'a>>;

/// Sorts the predictions of all rows that have predictions.
pub(super) fn sort<'a>(drafts: &[Draft<'a>]) -> AllSorted<'a> {
    let mut all = IndexMap::new();
    for (recipe, draft) in drafts.iter().enumerate() {
        for (place, entry) in draft.entries.iter().enumerate() {
            if let Some(block) = entry.block {
                all.insert((recipe, place), sorted(block));
            }
        }
    }
    all
}

fn sorted(block: &Block) -> Sorted<'_> {
    let key = |index: &usize| {
        let row = &block.rows[*index];
        (&row.id, &row.text, &block.labels[row.label])
    };
    let mut order: Vec<usize> = (0..block.rows.len()).collect();
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut bytes = Vec::new();
    for (id, text, label) in order.iter().map(key) {
        for part in [id, text, label] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
    }
    Sorted { block, order, digest: Digest::of(&bytes) }
}

/// Returns the test rows of the recipes, and refuses different rows unless they are allowed.
pub(super) fn test_rows(
    drafts: &[Draft<'_>],
    all: &AllSorted<'_>,
    allowed: bool,
) -> Result<TestRows, CompareError> {
    let mut first: Option<(&str, &Entry<'_>)> = None;
    let mut first_sorted: Option<(&str, u64, Digest)> = None;
    let mut different = None;
    for (recipe, draft) in drafts.iter().enumerate() {
        for (place, entry) in draft.entries.iter().enumerate() {
            let (name, before) = *first.get_or_insert((&draft.name, entry));
            if before.row.n != entry.row.n && different.is_none() {
                let says = |name: &str, n: u64| format!("`{name}` on {n}");
                different = Some((says(name, before.row.n), says(&draft.name, entry.row.n)));
            }
            let Some(sorted) = all.get(&(recipe, place)) else { continue };
            let seed = entry.row.seed;
            let (name, other, digest) =
                *first_sorted.get_or_insert((&draft.name, seed, sorted.digest));
            if digest != sorted.digest && different.is_none() {
                let says = |name: &str, seed: u64, digest: &Digest| {
                    format!("`{name}` at seed {seed} on texts {}", digest.short())
                };
                let second = says(&draft.name, seed, &sorted.digest);
                different = Some((says(name, other, &digest), second));
            }
        }
    }
    let same = different.is_none();
    if let Some((first, second)) = different.filter(|_| !allowed) {
        return Err(CompareError::DifferentTests { first, second });
    }
    let counts: Vec<u64> =
        drafts.iter().flat_map(|draft| &draft.entries).map(|entry| entry.row.n).collect();
    let count = counts.first().copied().filter(|first| counts.iter().all(|count| count == first));
    let digest = first_sorted.filter(|_| same).map(|(_, _, digest)| digest.to_string());
    Ok(TestRows { count, digest, same })
}

/// The reason why a recipe is not compared over texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Missing {
    /// Some rows have no predictions.
    Predictions,
    /// The metric in the table does not match the predictions.
    Stale,
    /// The recipes share no seed, or were tested on different rows.
    NoPairs,
}

/// Compares recipes with the baseline by test texts, in parallel. Each comparison has its own
/// resamples, so the order does not matter.
pub(super) fn compare_all(
    drafts: &[Draft<'_>],
    all: &AllSorted<'_>,
    baseline: usize,
    places: &[usize],
    metric: &str,
) -> Vec<Result<Items, Missing>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = &|places: &[usize]| -> Vec<Result<Items, Missing>> {
        places.iter().map(|&place| compare(drafts, all, baseline, place, metric)).collect()
    };
    std::thread::scope(|scope| {
        let parts = places.chunks(places.len().div_ceil(threads).max(1));
        let start = |part| std::thread::Builder::new().spawn_scoped(scope, move || each(part));
        // Where no more threads can be had, this one does the work.
        let parts: Vec<_> = parts.map(|part| start(part).map_err(|_| each(part))).collect();
        let joined = parts.into_iter().map(|part| match part {
            Ok(part) => part.join(),
            Err(done) => Ok(done),
        });
        joined
            .flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Compares two recipes by test texts at their common seeds.
fn compare(
    drafts: &[Draft<'_>],
    all: &AllSorted<'_>,
    baseline: usize,
    recipe: usize,
    metric: &str,
) -> Result<Items, Missing> {
    let pairs = common(drafts, baseline, recipe);
    let blocks: Option<Vec<[&Sorted<'_>; 2]>> = pairs
        .iter()
        .map(|&(a, b)| Some([all.get(&(baseline, a))?, all.get(&(recipe, b))?]))
        .collect();
    let blocks = blocks.ok_or(Missing::Predictions)?;
    let first = blocks.first().ok_or(Missing::NoPairs)?[0];
    if blocks.iter().flatten().any(|sorted| sorted.digest != first.digest) {
        return Err(Missing::NoPairs);
    }
    let table = |&(a, b): &(usize, usize)| [drafts[baseline].values[a], drafts[recipe].values[b]];
    let measured: Vec<[f64; 2]> = pairs.iter().map(table).collect();
    for (pair, measured) in blocks.iter().zip(&measured) {
        for (sorted, measured) in pair.iter().zip(measured) {
            if !gives(sorted.block, metric, *measured) {
                return Err(Missing::Stale);
            }
        }
    }
    let texts = first.order.len();
    let (interval, resamples) = interval(&blocks, metric);
    let mut counts = Vec::new();
    for [a, b] in &blocks {
        let right = |sorted: &Sorted<'_>, item: usize| {
            let row = &sorted.block.rows[sorted.order[item]];
            row.label == row.prediction
        };
        let only = |one: &Sorted<'_>, other: &Sorted<'_>| {
            (0..texts).filter(|&item| right(one, item) && !right(other, item)).count() as u64
        };
        counts.push((only(a, b), only(b, a)));
    }
    let p: Vec<f64> = counts.iter().map(|&(a, b)| mcnemar(a, b)).collect();
    Ok(Items {
        texts: texts as u64,
        seeds: blocks.len(),
        interval,
        resamples,
        only_baseline_right: counts.iter().map(|(a, _)| a).sum(),
        only_this_right: counts.iter().map(|(_, b)| b).sum(),
        mcnemar_p: twice_the_median(&p).unwrap_or(1.0),
    })
}

/// Returns the indices of the rows of two recipes with the same seeds.
pub(super) fn common(drafts: &[Draft<'_>], baseline: usize, recipe: usize) -> Vec<(usize, usize)> {
    let place =
        |seed: u64| drafts[baseline].entries.iter().position(|entry| entry.row.seed == seed);
    let pair = |(b, entry): (usize, &Entry<'_>)| Some((place(entry.row.seed)?, b));
    drafts[recipe].entries.iter().enumerate().filter_map(pair).collect()
}

/// Returns the predictions at `places` as rows for metrics.
pub(super) fn rows<'a>(block: &'a Block, places: impl Iterator<Item = usize>) -> Vec<Row<'a>> {
    places
        .map(|place| {
            let row = &block.rows[place];
            Row { label: row.label, prediction: row.prediction, probabilities: &row.probabilities }
        })
        .collect()
}

/// Returns whether the predictions match the metric in the table of results, up to rounding.
pub(super) fn gives(block: &Block, metric: &str, measured: f64) -> bool {
    let rows = rows(block, 0..block.rows.len());
    let value =
        Weighted::of(metric, &block.labels, &rows).and_then(|m| m.value(&vec![1; rows.len()]));
    value.is_some_and(|value| (value - measured).abs() < 1e-6 * measured.abs().max(1.0))
}

/// The bootstrap interval of the mean difference over seeds. All recipes see the same resamples.
fn interval(blocks: &[[&Sorted<'_>; 2]], metric: &str) -> (Option<Interval>, usize) {
    let texts = blocks.first().map_or(0, |[first, _]| first.order.len());
    let (groups, first_of) = groups(blocks, texts, reads_probabilities(metric));
    let prepared = |sorted: &Sorted<'_>| {
        let rows = rows(sorted.block, first_of.iter().map(|&item| sorted.order[item]));
        Weighted::of(metric, &sorted.block.labels, &rows)
    };
    let metrics: Option<Vec<[Weighted; 2]>> =
        blocks.iter().map(|[a, b]| Some([prepared(a)?, prepared(b)?])).collect();
    let Some(metrics) = metrics else { return (None, 0) };
    let mut random = seed::stream(0, &["compare", "texts"], 0);
    let found = paired_bootstrap(&groups, RESAMPLES, &mut random, |weights| {
        let differences: Option<f64> =
            metrics.iter().map(|[a, b]| Some(b.value(weights)? - a.value(weights)?)).sum();
        Some(differences? / metrics.len() as f64)
    });
    (found.map(|found| found.interval), found.map_or(0, |found| found.resamples))
}

/// Groups texts with the same label and the same predictions throughout, which are equal for every
/// metric of decisions. Returns the group of every text and the first text of every group. Most
/// texts are easy, so there are few groups, and a resample is one count per group.
fn groups(blocks: &[[&Sorted<'_>; 2]], texts: usize, each: bool) -> (Vec<u32>, Vec<usize>) {
    if each {
        return ((0..texts as u32).collect(), (0..texts).collect());
    }
    let mut known: IndexMap<Vec<(usize, usize)>, usize> = IndexMap::new();
    let mut groups = Vec::with_capacity(texts);
    for item in 0..texts {
        let decision = |sorted: &&Sorted<'_>| {
            let row = &sorted.block.rows[sorted.order[item]];
            (row.label, row.prediction)
        };
        let entry = known.entry(blocks.iter().flatten().map(decision).collect());
        groups.push(entry.index() as u32);
        entry.or_insert(item);
    }
    (groups, known.into_values().collect())
}
