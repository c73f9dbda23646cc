//! The list of all metrics. A new one is a file with its definition and a line here.

use super::metric::{ClassMetric, Metric};
use super::{accuracy, brier, calibration, f1, kappa, mcc, nll, roc_auc};

/// The metrics that are a single number for any classes, in the order of tables.
pub static METRICS: &[&Metric] = &[
    &accuracy::ACCURACY,
    &accuracy::BALANCED,
    &f1::MACRO,
    &f1::MICRO,
    &f1::WEIGHTED,
    &mcc::MCC,
    &kappa::KAPPA,
    &roc_auc::ROC_AUC,
    &nll::NLL,
    &brier::BRIER,
    &calibration::ECE,
    &calibration::MCE,
];

/// The metrics of single classes.
pub static CLASS_METRICS: &[&ClassMetric] = &[&f1::CLASS_PRECISION, &f1::CLASS_RECALL, &f1::CLASS];

/// The metrics that results are judged by if none is named, the preferred one first.
pub static MAIN: [&Metric; 2] = [&f1::MACRO, &accuracy::ACCURACY];

/// Returns the names of [`METRICS`], in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    METRICS.iter().map(|metric| metric.name)
}

/// Returns the metric with this name; `None` for other names and for metrics of a class.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name).copied()
}

/// Returns the metric of a class that a name `<metric>/<class>` stands for, and the class.
pub fn find_of_class(name: &str) -> Option<(&'static ClassMetric, &str)> {
    let (metric, class) = name.split_once('/')?;
    let found = CLASS_METRICS.iter().find(|known| known.name == metric)?;
    (!class.is_empty()).then_some((*found, class))
}

/// Returns whether smaller values of a metric are better.
pub fn less_is_better(name: &str) -> bool {
    find(name).is_some_and(Metric::less_is_better)
}

/// Returns the smallest and the largest possible value of a metric, infinite if there is none.
pub fn range(name: &str) -> (f64, f64) {
    let of_class = || find_of_class(name).map(|_| (0.0, 1.0));
    let range = find(name).map(|metric| metric.range).or_else(of_class);
    range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY))
}

/// Returns whether a metric uses probabilities; see [`Metric::reads_probabilities`].
pub fn reads_probabilities(name: &str) -> bool {
    find(name).is_some_and(Metric::reads_probabilities)
}

/// Returns the metrics of [`MAIN`] among the known ones, the preferred one first.
pub fn main_metrics(is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
    MAIN.iter().map(|metric| metric.name).filter(move |name| is_known(name))
}
