//! Student's tests of a difference of means.

use super::summary::varies;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::summary::{Interval, mean_and_deviation, t_quantile};

/// A difference of means with its test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub mean: f64,
    /// The sample deviation of the paired differences; `None` if values are not paired.
    pub deviation: Option<f64>,
    /// Student's 95 % interval.
    pub interval: Interval,
    /// The two-sided p value; `None` if all differences are the same, so that there is no spread.
    pub p: Option<f64>,
}

/// Tests whether the mean of at least two paired differences is 0 (Student 1908), like SciPy's
/// `ttest_rel`.
///
/// Differences that are all the same have no p: the formula would give 0 and claim certainty
/// without any observed variation.
pub fn paired(differences: &[f64]) -> Option<Difference> {
    let (mean, deviation) = mean_and_deviation(differences)?;
    let deviation = if varies(differences) { deviation } else { 0.0 };
    let freedom = differences.len() as f64 - 1.0;
    let error = deviation / (differences.len() as f64).sqrt();
    difference(mean, Some(deviation), error, freedom)
}

/// Tests whether two unpaired samples have the same mean, without assuming equal variances (Welch
/// 1947), like SciPy's `ttest_ind(equal_var=False)`. The difference is `b` − `a`.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Difference> {
    let ((mean_a, deviation_a), (mean_b, deviation_b)) =
        (mean_and_deviation(a)?, mean_and_deviation(b)?);
    if !varies(a) && !varies(b) {
        return difference(mean_b - mean_a, None, 0.0, 1.0);
    }
    let share = |deviation: f64, count: usize| deviation.powi(2) / count as f64;
    let (of_a, of_b) = (share(deviation_a, a.len()), share(deviation_b, b.len()));
    let error = (of_a + of_b).sqrt();
    // Welch and Satterthwaite's degrees of freedom.
    let freedom = (of_a + of_b).powi(2)
        / (of_a.powi(2) / (a.len() as f64 - 1.0) + of_b.powi(2) / (b.len() as f64 - 1.0));
    difference(mean_b - mean_a, None, error, freedom)
}

fn difference(mean: f64, deviation: Option<f64>, error: f64, freedom: f64) -> Option<Difference> {
    let half = t_quantile(freedom)? * error;
    let p = match error > 0.0 {
        true => Some(2.0 * StudentsT::new(0.0, 1.0, freedom).ok()?.sf((mean / error).abs())),
        false => None,
    };
    Some(Difference {
        mean,
        deviation,
        interval: Interval { low: mean - half, high: mean + half },
        p,
    })
}
