//! The paired bootstrap over test items.

use rand::Rng;
use serde::Serialize;

use super::summary::Interval;

/// A resampled difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bootstrap {
    pub resamples: usize,
    /// The percentile interval of 95 %.
    pub interval: Interval,
}

/// Returns the percentile interval of a difference when items are resampled with replacement (Efron
/// & Tibshirani 1993, § 13.3). The bootstrap is paired: an item carries the predictions of both
/// models.
///
/// `groups` holds the group of interchangeable items for every item. `difference` gets the number
/// of drawn items of every group and returns the difference, or `None` if it is undefined. Returns
/// `None` without items, or if more than one resample in ten is undefined.
pub fn paired_bootstrap(
    groups: &[u32],
    resamples: usize,
    random: &mut impl Rng,
    mut difference: impl FnMut(&[u32]) -> Option<f64>,
) -> Option<Bootstrap> {
    let count = *groups.iter().max()? as usize + 1;
    let mut weights = vec![0u32; count];
    let mut values = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        draw(groups, random, &mut weights);
        values.extend(difference(&weights).filter(|value| value.is_finite()));
    }
    if values.len() * 10 < (resamples * 9).max(1) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let interval = Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) };
    Some(Bootstrap { resamples: values.len(), interval })
}

/// Draws a resample of all items with replacement, and counts it by group.
pub(super) fn draw(groups: &[u32], random: &mut impl Rng, weights: &mut [u32]) {
    weights.fill(0);
    let count = groups.len() as u64;
    for _ in 0..groups.len() {
        // The share of 2³² for an item is off by less than one in 2³² / n, far below the noise of a
        // resample.
        let item = (u64::from(random.next_u32()) * count) >> 32;
        weights[groups[item as usize] as usize] += 1;
    }
}

/// Returns a quantile of sorted values with linear interpolation (type 7 of Hyndman & Fan 1996,
/// NumPy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() as f64 - 1.0);
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}
