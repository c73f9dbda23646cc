//! The area under the ROC curve, one class against the rest.

use super::metric::{Goal, Metric, Of};

/// The mean over all classes of the area under the ROC curve of the class against the rest
/// (scikit-learn's `multi_class="ovr", average="macro"`). Undefined if a class has no row or all
/// rows.
pub static ROC_AUC: Metric = Metric {
    name: "roc_auc",
    goal: Goal::Maximize,
    range: (0.0, 1.0),
    of: Of::Ranking(|ranking, weight| ranking.area(weight)),
};
