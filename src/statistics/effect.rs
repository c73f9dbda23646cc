//! The size of an effect.

use super::summary::{mean_and_deviation, varies};

/// Returns Cohen's d_z of at least two paired differences: their mean over their sample deviation
/// (Cohen 1988, § 2.3; Lakens 2013, eq. 6). It has the sign of the mean difference.
///
/// `None` where all differences are the same: there is no spread to measure them by, and dividing
/// by 0 would say "infinitely large". Where all of them are 0 it is 0.
pub fn cohens_dz(differences: &[f64]) -> Option<f64> {
    let (mean, deviation) = mean_and_deviation(differences)?;
    if varies(differences) {
        Some(mean / deviation)
    } else {
        differences.iter().all(|difference| difference.abs() < 1e-12).then_some(0.0)
    }
}
