//! The negative log-likelihood (log loss, cross entropy).

use super::metric::{Goal, Metric, Of};
use super::row::Row;

/// The mean of −ln p(true class).
pub static NLL: Metric =
    Metric { name: "nll", goal: Goal::Minimize, range: (0.0, 16.0), of: Of::Mean(loss) };

/// Returns −ln p(true class) of one row. Probabilities are kept ε away from 0 and 1, where ε is the
/// machine epsilon of single precision, as in scikit-learn's `log_loss`.
pub(super) fn loss(row: &Row<'_>) -> f64 {
    let epsilon = f32::EPSILON;
    -f64::from(row.probabilities[row.label].clamp(epsilon, 1.0 - epsilon)).ln()
}
