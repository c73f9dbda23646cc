//! The observations of finished trials for a Gaussian process.

use crate::search::space::{Observation, Outcome, Point};

/// Returns the finished trials and their values, the best first. Failures get the worst value;
/// without any value the result is empty.
pub(super) fn ranked(history: &[Observation]) -> Vec<(&Point, f64)> {
    let value = |observation: &Observation| match observation.outcome {
        Outcome::Value(value) => Some(value),
        Outcome::Failed | Outcome::Pending => None,
    };
    let Some(worst) = history.iter().filter_map(value).max_by(f64::total_cmp) else {
        return Vec::new();
    };
    let finished = history.iter().filter(|observation| observation.outcome != Outcome::Pending);
    let mut ranked: Vec<(&Point, f64)> = finished
        .map(|observation| (&observation.point, value(observation).unwrap_or(worst)))
        .collect();
    ranked.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    ranked
}

/// Returns the indices of at most `most` of `count` ranked trials: the best ones, and as many
/// spread evenly over the others.
pub(super) fn thinned(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let (best, spread) = (most.div_ceil(2), most / 2);
    let others = count - best;
    (0..best).chain((0..spread).map(|at| best + at * others / spread)).collect()
}

/// Returns ranked values with mean 0 and variance 1, in the same order. Excess over the median
/// counts by its logarithm. Otherwise a single far too high learning rate would set the scale.
pub(super) fn normalised(ranked: &[f64]) -> Vec<f64> {
    let (Some(best), Some(median)) = (ranked.first(), ranked.get(ranked.len() / 2)) else {
        return Vec::new();
    };
    let scale = median - best;
    let compress = |value: &f64| {
        let excess = value - median;
        if excess > 0.0 && scale > 0.0 { scale * (excess / scale).ln_1p() } else { excess }
    };
    let mut values: Vec<f64> = ranked.iter().map(compress).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter_mut().for_each(|value| *value -= mean);
    let deviation = (values.iter().map(|value| value * value).sum::<f64>() / count).sqrt();
    // Values may be so large that their differences overflow; then all are treated as equal.
    let factor = if deviation > 0.0 && deviation.is_finite() { deviation.recip() } else { 0.0 };
    values
        .iter_mut()
        .for_each(|value| *value = if value.is_finite() { *value * factor } else { 0.0 });
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_among_the_worst() {
        let at = |place: f64, outcome| Observation { point: vec![Some(place)], outcome };
        let history = [
            at(0.1, Outcome::Failed),
            at(0.2, Outcome::Value(3.0)),
            at(0.3, Outcome::Pending),
            at(0.4, Outcome::Value(1.0)),
        ];
        let values: Vec<f64> = ranked(&history).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [1.0, 3.0, 3.0]);
        assert!(ranked(&history[..1]).is_empty());
    }

    #[test]
    fn the_best_and_some_of_the_others_stay() {
        assert_eq!(thinned(3, 5), [0, 1, 2]);
        assert_eq!(thinned(10, 5), [0, 1, 2, 3, 6]);
        assert!(thinned(1000, 151).windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn values_keep_their_order_and_outliers_lose_their_weight() {
        let values = normalised(&[0.0, 1.0, 2.0, 3.0, 1e6]);
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]) && values[4] < 3.0, "{values:?}");
        assert!(values.iter().sum::<f64>().abs() < 1e-9);
        assert_eq!(normalised(&[4.0; 3]), [0.0; 3]);
        assert!(normalised(&[-1e308, 0.0, 1e308]).iter().all(|value| value.is_finite()));
    }
}
