//! Accuracy and balanced accuracy.

use super::confusion::{Confusion, ratio};

/// Returns the share of rows that were predicted right.
pub fn accuracy(confusion: &Confusion) -> f64 {
    ratio(confusion.right(), confusion.total())
}

/// Returns the mean recall over the classes that have rows, as scikit-learn's `balanced_accuracy_score`.
pub fn balanced_accuracy(confusion: &Confusion) -> f64 {
    let recalls: Vec<f64> = (0..confusion.classes())
        .filter(|&class| confusion.support(class) > 0)
        .map(|class| ratio(confusion.hits(class), confusion.support(class)))
        .collect();
    recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
}
