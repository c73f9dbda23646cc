//! Ranks of many recipes over seeds.

use super::comparison::Ranks;
use super::draft::Draft;
use crate::statistics::{critical_difference, friedman};

/// Returns Friedman's test over the recipes with exactly the baseline's seeds, and their mean ranks
/// by index; rank 1 is the best.
pub(super) fn ranks(
    drafts: &[Draft<'_>],
    baseline: usize,
    less_is_better: bool,
) -> Option<(Ranks, Vec<(usize, f64)>)> {
    let seeds = |draft: &Draft<'_>| -> Vec<u64> {
        draft.entries.iter().map(|entry| entry.row.seed).collect()
    };
    let wanted = seeds(&drafts[baseline]);
    let places: Vec<usize> =
        (0..drafts.len()).filter(|&place| seeds(&drafts[place]) == wanted).collect();
    let sign = if less_is_better { 1.0 } else { -1.0 };
    let blocks: Vec<Vec<f64>> = (0..wanted.len())
        .map(|seed| places.iter().map(|&place| sign * drafts[place].values[seed]).collect())
        .collect();
    let found = friedman(&blocks)?;
    let ranks = Ranks {
        recipes: places.len(),
        seeds: wanted.len(),
        statistic: found.statistic,
        p: found.p,
        critical_difference: critical_difference(places.len(), wanted.len()),
    };
    Some((ranks, places.into_iter().zip(found.ranks).collect()))
}
