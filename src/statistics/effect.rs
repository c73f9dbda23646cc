//! The size of an effect.

use super::summary::{mean_and_deviation, varies};

/// Returns Cohen's d_z of at least two paired differences: their mean over their sample deviation
/// (Cohen 1988, § 2.3; Lakens 2013, eq. 6). Its sign is the sign of the mean difference.
///
/// It is 0 if all differences are 0, and `None` if all are the same otherwise: without a spread,
/// the division by 0 would give an infinite effect.
pub fn cohens_dz(differences: &[f64]) -> Option<f64> {
    let (mean, deviation) = mean_and_deviation(differences)?;
    if varies(differences) {
        Some(mean / deviation)
    } else {
        differences.iter().all(|difference| difference.abs() < 1e-12).then_some(0.0)
    }
}
