//! The best of a search, corrected for selection bias.

use super::comparison::Selected;
use super::draft::Draft;
use super::items::{AllSorted, gives, rows};
use crate::base::seed;
use crate::metrics::Weighted;
use crate::statistics::{mean, selection};

/// With this number of trials or more, the best one counts as selected.
const A_FEW: usize = 3;
const RESAMPLES: usize = 1000;

/// Returns the best trial and its index; `None` if too few are compared.
///
/// If all trials have the same two or more seeds, seeds are resampled. If all have the same single
/// seed, test texts are resampled from the predictions.
pub(super) fn selected(
    drafts: &[Draft<'_>],
    all: &AllSorted<'_>,
    metric: &str,
    less_is_better: bool,
) -> Option<(usize, Selected)> {
    let is_trial =
        |&place: &usize| drafts[place].row.trial.is_some() && !drafts[place].values.is_empty();
    let trials: Vec<usize> = (0..drafts.len()).filter(is_trial).collect();
    if trials.len() < A_FEW {
        return None;
    }
    let sign = if less_is_better { -1.0 } else { 1.0 };
    let means: Vec<(usize, f64)> =
        trials.iter().filter_map(|&place| Some((place, mean(&drafts[place].values)?))).collect();
    let (place, value) = means
        .into_iter()
        .reduce(|best, other| if sign * other.1 > sign * best.1 { other } else { best })?;
    let seeds = |place: usize| -> Vec<u64> {
        drafts[place].entries.iter().map(|entry| entry.row.seed).collect()
    };
    let wanted = seeds(place);
    let mut random = seed::stream(0, &["compare", "selection"], 0);
    let found = if trials.iter().any(|&trial| seeds(trial) != wanted) {
        None
    } else if wanted.len() > 1 {
        let value = |trial: usize, weights: &[u32]| {
            let values = &drafts[trials[trial]].values;
            let sum: f64 =
                values.iter().zip(weights).map(|(value, &weight)| value * f64::from(weight)).sum();
            Some(sum / f64::from(weights.iter().sum::<u32>()))
        };
        let found = selection(trials.len(), wanted.len(), sign, RESAMPLES, &mut random, value);
        found.map(|found| (found, "seeds"))
    } else {
        let prepared: Option<Vec<Weighted>> = trials
            .iter()
            .map(|&trial| {
                let sorted = all.get(&(trial, 0)).filter(|sorted| {
                    let same =
                        all.get(&(place, 0)).is_some_and(|best| best.digest == sorted.digest);
                    same && gives(sorted.block, metric, drafts[trial].values[0])
                })?;
                Weighted::of(
                    metric,
                    &sorted.block.labels,
                    &rows(sorted.block, sorted.order.iter().copied()),
                )
            })
            .collect();
        prepared.and_then(|prepared| {
            let texts = all.get(&(place, 0))?.order.len();
            let value = |trial: usize, weights: &[u32]| prepared[trial].value(weights);
            let found = selection(trials.len(), texts, sign, RESAMPLES, &mut random, value);
            found.map(|found| (found, "texts"))
        })
    };
    let selected = Selected {
        name: drafts[place].name.clone(),
        trials: trials.len(),
        value,
        bias: found.map(|(found, _)| found.bias),
        corrected: found.map(|(found, _)| found.corrected),
        resampled: found.map(|(_, what)| what),
    };
    Some((place, selected))
}
