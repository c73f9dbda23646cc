//! Weighted random draws.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Returns the running sums of weights.
pub(in crate::stages::augment) fn cumulative(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

/// Draws an index by the running sums of the weights.
pub(in crate::stages::augment) fn draw(cumulative: &[f64], random: &mut ChaCha8Rng) -> usize {
    let point = random.random::<f64>() * cumulative.last().copied().unwrap_or(0.0);
    cumulative.partition_point(|sum| *sum <= point).min(cumulative.len().saturating_sub(1))
}
