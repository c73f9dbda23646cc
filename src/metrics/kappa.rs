//! Cohen's κ.

use super::counts::Counts;
use super::metric::{Goal, Metric, Of};

/// Cohen's κ.
pub static KAPPA: Metric =
    Metric { name: "kappa", goal: Goal::Maximize, range: (-1.0, 1.0), of: Of::Counts(kappa) };

/// Returns (pₒ − pₑ) / (1 − pₑ) (Cohen 1960). pₒ is the accuracy, pₑ the expected agreement of
/// independent labels with the same frequencies. `None` if pₑ is 1: all rows are of one class and
/// predicted to be of it.
pub fn kappa(counts: &Counts) -> Option<f64> {
    let total = counts.total() as f64;
    let chance: f64 = (0..counts.classes())
        .map(|class| counts.support(class) as f64 * counts.predicted(class) as f64)
        .sum();
    let room = total * total - chance;
    (room > 0.0).then(|| (counts.right() as f64 * total - chance) / room)
}
