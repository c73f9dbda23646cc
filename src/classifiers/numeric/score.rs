//! Probabilities of logits, and how well they fit the classes.

use ndarray::{Array2, ArrayView1, ArrayView2};

/// How well logits fit the classes of their points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The mean negative log-likelihood, in nats.
    pub nll: f64,
    /// The share of points whose largest logit is that of their class.
    pub accuracy: f64,
}

/// Scores logits `[N, K]`; weighted means if the points have weights. Of equal logits the first
/// class is the prediction. Without points both figures are NaN.
pub fn score(logits: ArrayView2<'_, f64>, labels: &[usize], weights: Option<&[f64]>) -> Score {
    let (mut nll, mut right, mut total) = (0.0, 0.0, 0.0);
    for (point, (row, &label)) in logits.rows().into_iter().zip(labels).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[point]);
        nll += weight * (log_sum_exp(row) - row[label]);
        right += if largest(row) == label { weight } else { 0.0 };
        total += weight;
    }
    Score { nll: nll / total, accuracy: right / total }
}

/// Returns the logarithms of the probabilities that logits `[N, K]` mean.
pub fn log_probabilities(logits: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut logs = logits.to_owned();
    for mut row in logs.rows_mut() {
        let whole = log_sum_exp(row.view());
        row -= whole;
    }
    logs
}

/// Returns the logarithm of the sum of exponentials.
pub(in crate::classifiers) fn log_sum_exp(values: ArrayView1<'_, f64>) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return most;
    }
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}

/// Returns the place of the largest value, the first of equal ones.
pub(in crate::classifiers) fn largest(values: ArrayView1<'_, f64>) -> usize {
    let mut best = 0;
    for (at, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = at;
        }
    }
    best
}
