//! Precision, recall and F1: per class, and macro, micro and weighted means over the declared classes. 0/0 is 0.

use super::confusion::{Confusion, ratio};

/// Returns the share of right ones among the rows predicted to be of a class.
pub fn precision(confusion: &Confusion, class: usize) -> f64 {
    ratio(confusion.hits(class), confusion.predicted(class))
}

/// Returns the share of a class's rows that were predicted right.
pub fn recall(confusion: &Confusion, class: usize) -> f64 {
    ratio(confusion.hits(class), confusion.support(class))
}

/// Returns the harmonic mean of precision and recall, 2·TP / (2·TP + FP + FN).
pub fn f1(confusion: &Confusion, class: usize) -> f64 {
    ratio(2 * confusion.hits(class), confusion.support(class) + confusion.predicted(class))
}

/// Returns the mean F1 over the declared classes, those without rows included.
pub fn macro_f1(confusion: &Confusion) -> f64 {
    let classes = confusion.classes();
    (0..classes).map(|class| f1(confusion, class)).sum::<f64>() / classes.max(1) as f64
}

/// Returns F1 over the summed counts of all classes; with one label per row it equals accuracy.
pub fn micro_f1(confusion: &Confusion) -> f64 {
    ratio(2 * confusion.right(), 2 * confusion.total())
}

/// Returns the mean F1 weighted by each class's number of rows.
pub fn weighted_f1(confusion: &Confusion) -> f64 {
    let weighted = |class| confusion.support(class) as f64 * f1(confusion, class);
    (0..confusion.classes()).map(weighted).sum::<f64>() / confusion.total().max(1) as f64
}
