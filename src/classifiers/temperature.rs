//! One temperature for all logits, so that probabilities mean what they say.

use ndarray::{ArrayView1, ArrayView2};

/// The bounds of a temperature. Logits that separate the classes perfectly want 0, logits that say
/// nothing want infinity.
pub const BOUNDS: (f64, f64) = (1e-3, 1e3);

/// Returns the T > 0 that minimises the mean negative log-likelihood of softmax(logits/T) (Guo et
/// al. 2017, arXiv 1706.04599, § 4.2), within [`BOUNDS`]. It is 1 if T makes no difference,
/// and without points.
///
/// `logits` are `[N, K]` of points that the fit has not seen, `labels` are below K.
pub fn fit(logits: ArrayView2<'_, f64>, labels: &[usize]) -> f64 {
    fit_weighted(logits, labels, None)
}

/// Returns the temperature as [`fit`] does, of a weighted mean if weights are given.
pub fn fit_weighted(logits: ArrayView2<'_, f64>, labels: &[usize], weights: Option<&[f64]>) -> f64 {
    // The loss is convex in β = 1/T; its slope has one root, or none within the bounds.
    let slope = |beta: f64| slope(logits, labels, weights, beta);
    let (mut low, mut high) = (1.0 / BOUNDS.1, 1.0 / BOUNDS.0);
    let (at_low, at_high) = (slope(low).0, slope(high).0);
    // Without points the slopes are NaN.
    if at_low.is_nan() || at_high.is_nan() || (at_low == 0.0 && at_high == 0.0) {
        return 1.0;
    }
    if at_low >= 0.0 {
        return BOUNDS.1;
    }
    if at_high <= 0.0 {
        return BOUNDS.0;
    }
    let mut beta = 1.0;
    for _ in 0..200 {
        let (first, second) = slope(beta);
        match first > 0.0 {
            true => high = beta,
            false => low = beta,
        }
        // Newton's step in log β, or the middle of the bracket if that step leaves it.
        let step: f64 = -first / (first + second * beta);
        let newton = beta * step.exp();
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        let change = (next / beta).ln().abs();
        beta = next;
        if change < 1e-14 || first == 0.0 {
            break;
        }
    }
    1.0 / beta
}

/// Returns the first and second derivative of the mean loss by β.
fn slope(
    logits: ArrayView2<'_, f64>,
    labels: &[usize],
    weights: Option<&[f64]>,
    beta: f64,
) -> (f64, f64) {
    let (mut first, mut second, mut total) = (0.0, 0.0, 0.0);
    for (point, (row, &label)) in logits.rows().into_iter().zip(labels).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[point]);
        let (mean, variance) = moments(row, beta);
        // The logits relative to the largest, as in `moments`.
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        first += weight * (mean - (row[label] - most));
        second += weight * variance;
        total += weight;
    }
    (first / total, second / total)
}

/// Returns mean and variance of the logits, relative to the largest, under softmax(β·logits).
fn moments(row: ArrayView1<'_, f64>, beta: f64) -> (f64, f64) {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
    for value in row {
        let below = value - most;
        let share = (beta * below).exp();
        // An infinite distance has no share.
        if share > 0.0 {
            sum += share;
            mean += share * below;
            square += share * below * below;
        }
    }
    let mean = mean / sum;
    (mean, (square / sum - mean * mean).max(0.0))
}
