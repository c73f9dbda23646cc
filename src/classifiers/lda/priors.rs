//! The shares of the classes in the logits.

use crate::classifiers::error::ClassifierError;
use crate::classifiers::points::Points;
use crate::classifiers::prior;

/// The shares of the classes that are part of the logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prior<'a> {
    /// The shares of the points, by their weights. Weights count nowhere else.
    Counts,
    /// Positive shares with the sum 1: `[K]`.
    Given(&'a [f64]),
}

/// The shares of classes, which a left-out point may change.
pub(super) struct Priors {
    /// Shares, or sums of weights: `[K]`.
    sums: Vec<f64>,
    /// The weights of the points, if the shares come from them.
    weights: Option<Vec<f64>>,
}

impl Priors {
    /// Takes the shares from points, or as given.
    ///
    /// # Errors
    ///
    /// Refuses given shares that are not positive with the sum 1, one for each class.
    pub(super) fn of(points: &Points<'_>, given: Prior<'_>) -> Result<Priors, ClassifierError> {
        if let Prior::Given(shares) = given {
            prior::check(shares, points.classes)?;
            if let Some(class) = shares.iter().position(|&share| share <= 0.0) {
                let (share, expected) = (shares[class], "more than 0");
                return Err(ClassifierError::PriorShare { class, share, expected });
            }
            return Ok(Priors { sums: shares.to_vec(), weights: None });
        }
        let weights: Vec<f64> = (0..points.labels.len()).map(|at| points.weight(at)).collect();
        let mut sums = vec![0.0; points.classes];
        for (weight, &label) in weights.iter().zip(points.labels) {
            sums[label] += weight;
        }
        Ok(Priors { sums, weights: Some(weights) })
    }

    /// Returns log π_c of all classes, without one point.
    pub(super) fn logs(&self, left_out: Option<(usize, usize)>) -> Vec<f64> {
        let mut sums = self.sums.clone();
        if let (Some((point, class)), Some(weights)) = (left_out, &self.weights) {
            sums[class] -= weights[point];
        }
        let whole: f64 = sums.iter().sum();
        sums.into_iter().map(|sum| (sum / whole).ln()).collect()
    }
}
