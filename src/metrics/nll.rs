//! The negative log-likelihood (log loss, cross entropy).

use super::row::Row;

/// Returns the mean of −ln p(true class). Probabilities are kept ε away from 0 and 1, where ε is
/// the machine epsilon of single precision, as in scikit-learn's `log_loss`.
pub fn nll(rows: &[Row<'_>]) -> f64 {
    rows.iter().map(loss).sum::<f64>() / rows.len().max(1) as f64
}

/// Returns the loss of one row.
pub(super) fn loss(row: &Row<'_>) -> f64 {
    let epsilon = f32::EPSILON;
    -f64::from(row.probabilities[row.label].clamp(epsilon, 1.0 - epsilon)).ln()
}
