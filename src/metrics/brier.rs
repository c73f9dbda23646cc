//! The Brier score for any number of classes.

use super::metric::{Goal, Metric, Of};
use super::row::Row;

/// The mean over rows of Σₖ (pₖ − yₖ)² over all classes (Brier 1950); y is 1 for the true class and
/// 0 otherwise. It lies between 0 and 2: for two classes it is twice the one-sided score that some
/// libraries report.
pub static BRIER: Metric =
    Metric { name: "brier", goal: Goal::Minimize, range: (0.0, 2.0), of: Of::Mean(score) };

/// Returns the score of one row.
pub(super) fn score(row: &Row<'_>) -> f64 {
    let squared = |(class, &p): (usize, &f32)| {
        let truth = if class == row.label { 1.0 } else { 0.0 };
        (f64::from(p) - truth).powi(2)
    };
    row.probabilities.iter().enumerate().map(squared).sum()
}
