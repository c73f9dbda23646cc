//! Accuracy and balanced accuracy.

use super::counts::{Counts, ratio};
use super::metric::{Goal, Metric, Of};

/// The share of correctly predicted rows.
pub static ACCURACY: Metric = Metric {
    name: "accuracy",
    goal: Goal::Maximize,
    range: (0.0, 1.0),
    of: Of::Counts(|counts| Some(accuracy(counts))),
};

/// The mean recall over the classes that have rows.
pub static BALANCED: Metric = Metric {
    name: "balanced_accuracy",
    goal: Goal::Maximize,
    range: (0.0, 1.0),
    of: Of::Counts(|counts| Some(balanced_accuracy(counts))),
};

/// Returns the share of correctly predicted rows.
pub fn accuracy(counts: &Counts) -> f64 {
    ratio(counts.right(), counts.total())
}

/// Returns the mean recall over the classes that have rows, like scikit-learn's
/// `balanced_accuracy_score`.
pub fn balanced_accuracy(counts: &Counts) -> f64 {
    let recalls: Vec<f64> = (0..counts.classes())
        .filter(|&class| counts.support(class) > 0)
        .map(|class| ratio(counts.hits(class), counts.support(class)))
        .collect();
    recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
}
