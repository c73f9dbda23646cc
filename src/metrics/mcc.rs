//! Matthews' correlation coefficient for any number of classes.

use super::counts::Counts;
use super::metric::{Goal, Metric, Of};

/// Matthews' correlation coefficient.
pub static MCC: Metric = Metric {
    name: "mcc",
    goal: Goal::Maximize,
    range: (-1.0, 1.0),
    of: Of::Counts(|counts| Some(mcc(counts))),
};

/// Returns R_K (Gorodkin 2004, eq. 8, in the form of counts that scikit-learn documents): (c·s − Σ
/// pₖtₖ) / √((s² − Σ pₖ²)(s² − Σ tₖ²)), with s rows, c right ones, tₖ true and pₖ predicted ones of
/// class k. It is 0 where the formula is undefined: only one class is true, or only one is
/// predicted.
pub fn mcc(counts: &Counts) -> f64 {
    let total = counts.total() as f64;
    let sum = |of: &dyn Fn(usize) -> f64| (0..counts.classes()).map(of).sum::<f64>();
    let truth = |class| counts.support(class) as f64;
    let guess = |class| counts.predicted(class) as f64;
    let covariance = counts.right() as f64 * total - sum(&|class| truth(class) * guess(class));
    let spread = (total * total - sum(&|class| guess(class).powi(2)))
        * (total * total - sum(&|class| truth(class).powi(2)));
    if spread > 0.0 { covariance / spread.sqrt() } else { 0.0 }
}
