//! The comparison over seeds.

use super::comparison::{Against, Items, Test, Verdict};
use super::draft::Draft;
use super::items::common;
use crate::statistics::{
    Interval, cohens_dz, mean, mean_and_deviation, paired, seeds_needed, welch, wilcoxon,
};

/// The smallest difference of interest: one point.
pub(super) const POINT: f64 = 0.01;

/// Compares two recipes by their values at single seeds. The correction, the comparison over texts
/// and the verdict come later.
///
/// `range` is the metric's, which bounds the interval of a difference too.
pub(super) fn compare(
    drafts: &[Draft<'_>],
    baseline: usize,
    recipe: usize,
    range: (f64, f64),
) -> Option<Against> {
    let (least, most) = range;
    let within = |interval: Interval| interval.within((least - most, most - least));
    let (base, this) = (&drafts[baseline], &drafts[recipe]);
    let pairs = common(drafts, baseline, recipe);
    let differences: Vec<f64> =
        pairs.iter().map(|&(a, b)| this.values[b] - base.values[a]).collect();
    let mut against = Against {
        seeds: pairs.iter().map(|&(_, b)| this.entries[b].row.seed).collect(),
        difference: mean(&this.values)? - mean(&base.values)?,
        interval: None,
        test: None,
        p: None,
        p_holm: None,
        wilcoxon_p: None,
        wilcoxon_least: None,
        effect_size: None,
        seeds_needed: None,
        items: None::<Items>,
        verdict: Verdict::TooFewSeeds { more: None },
    };
    if let Some(found) = paired(&differences) {
        against.difference = found.mean;
        against.interval =
            found.deviation.filter(|&deviation| deviation > 0.0).map(|_| within(found.interval));
        against.wilcoxon_p = Some(wilcoxon(&differences));
        against.wilcoxon_least =
            Some(2.0 * 0.5f64.powi(differences.len().min(1000) as i32)).map(|p| p.min(1.0));
        (against.test, against.p) = match found.p {
            Some(p) => (Some(Test::PairedT), Some(p)),
            None => (Some(Test::Wilcoxon), against.wilcoxon_p),
        };
        against.effect_size = cohens_dz(&differences);
        against.seeds_needed = found
            .deviation
            .filter(|&d| d > 0.0)
            .and_then(|deviation| seeds_needed(deviation, POINT));
    } else if let Some(found) = welch(&base.values, &this.values) {
        against.difference = found.mean;
        against.interval = found.p.map(|_| within(found.interval));
        (against.test, against.p) = (Some(Test::Welch), found.p);
        let variance =
            |values: &[f64]| mean_and_deviation(values).map(|(_, deviation)| deviation.powi(2));
        let deviation = (variance(&base.values)? + variance(&this.values)?).sqrt();
        against.seeds_needed = seeds_needed(deviation, POINT).filter(|_| deviation > 0.0);
    } else if let [difference] = differences[..] {
        against.difference = difference;
    }
    Some(against)
}
