//! Precision, recall and F1: per class, and macro, micro and weighted means over the declared
//! classes. 0/0 is 0.

use super::counts::{Counts, ratio};
use super::metric::{ClassMetric, Goal, Metric, Of};

/// The mean F1 over the declared classes.
pub static MACRO: Metric = Metric {
    name: "macro_f1",
    goal: Goal::Maximize,
    range: (0.0, 1.0),
    of: Of::Counts(|counts| Some(macro_f1(counts))),
};

/// F1 over the summed counts of all classes.
pub static MICRO: Metric = Metric {
    name: "micro_f1",
    goal: Goal::Maximize,
    range: (0.0, 1.0),
    of: Of::Counts(|counts| Some(micro_f1(counts))),
};

/// The mean F1, weighted by the number of rows of each class.
pub static WEIGHTED: Metric = Metric {
    name: "weighted_f1",
    goal: Goal::Maximize,
    range: (0.0, 1.0),
    of: Of::Counts(|counts| Some(weighted_f1(counts))),
};

/// Precision of a class.
pub static CLASS_PRECISION: ClassMetric = ClassMetric { name: "precision", of: precision };
/// Recall of a class.
pub static CLASS_RECALL: ClassMetric = ClassMetric { name: "recall", of: recall };
/// F1 of a class.
pub static CLASS: ClassMetric = ClassMetric { name: "f1", of: f1 };

/// Returns the share of correct rows among the rows predicted to be of a class.
pub fn precision(counts: &Counts, class: usize) -> f64 {
    ratio(counts.hits(class), counts.predicted(class))
}

/// Returns the share of correctly predicted rows among a class's rows.
pub fn recall(counts: &Counts, class: usize) -> f64 {
    ratio(counts.hits(class), counts.support(class))
}

/// Returns the harmonic mean of precision and recall, 2·TP / (2·TP + FP + FN).
pub fn f1(counts: &Counts, class: usize) -> f64 {
    ratio(2 * counts.hits(class), counts.support(class) + counts.predicted(class))
}

/// Returns the mean F1 over the declared classes, including classes without rows.
pub fn macro_f1(counts: &Counts) -> f64 {
    let classes = counts.classes();
    (0..classes).map(|class| f1(counts, class)).sum::<f64>() / classes.max(1) as f64
}

/// Returns F1 over the summed counts of all classes; with one label per row it equals accuracy.
pub fn micro_f1(counts: &Counts) -> f64 {
    ratio(2 * counts.right(), 2 * counts.total())
}

/// Returns the mean F1, weighted by the number of rows of each class.
pub fn weighted_f1(counts: &Counts) -> f64 {
    let weighted = |class| counts.support(class) as f64 * f1(counts, class);
    (0..counts.classes()).map(weighted).sum::<f64>() / counts.total().max(1) as f64
}
