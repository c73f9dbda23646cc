//! Leave-one-out logits of LDA from one decomposition.
//!
//! Without a point of class c with residual r, the mean of its class moves by −r/(n_c−1), and SS
//! loses f·rrᵀ with f = n_c/(n_c−1). With M = (1−λ)·SS + λ·(tr SS'/E)·I, where SS' is the scatter
//! that is left, the inverse without the point is M⁻¹ + g·M⁻¹rrᵀM⁻¹, g = (1−λ)f/(1 − (1−λ)f·rᵀM⁻¹r)
//! (Sherman & Morrison 1950). M differs from point to point by a multiple of the identity, so one
//! tridiagonal form of SS serves all points and all λ.

use ndarray::{Array1, Array2};

use super::priors::Priors;
use super::scatter::Scatter;
use crate::classifiers::error::ClassifierError;
use crate::classifiers::numeric::tridiagonal::Tridiagonal;
use crate::classifiers::points::Points;

/// A scatter of which this share or less is left without a point has no other spread.
const LEAST: f64 = 1e-12;

/// What all λ share.
pub(super) struct LeftOut<'p, 's> {
    labels: &'p [usize],
    counts: Vec<usize>,
    scatter: &'s Scatter,
    tridiagonal: Tridiagonal,
    /// The means and the residuals in the basis of the tridiagonal form: `[K, r]`, `[N, r]`.
    means: Array2<f64>,
    residuals: Array2<f64>,
    /// ‖r‖²: `[N]`
    squares: Vec<f64>,
}

impl<'p, 's> LeftOut<'p, 's> {
    /// Decomposes the scatter of points.
    ///
    /// # Errors
    ///
    /// Refuses a class with a single point, and points that differ within their classes in one pair
    /// alone.
    pub(super) fn of(
        points: &Points<'p>,
        scatter: &'s Scatter,
    ) -> Result<LeftOut<'p, 's>, ClassifierError> {
        let counts = points.counts();
        if let Some(class) = counts.iter().position(|&count| count < 2) {
            return Err(ClassifierError::SinglePoint { class });
        }
        let tridiagonal = Tridiagonal::of(scatter.matrix.clone());
        let (mut means, mut residuals) = (scatter.means.clone(), scatter.residuals.clone());
        means.rows_mut().into_iter().for_each(|row| tridiagonal.turn(row));
        residuals.rows_mut().into_iter().for_each(|row| tridiagonal.turn(row));
        let squares = residuals.rows().into_iter().map(|row| row.dot(&row)).collect();
        let labels = points.labels;
        Ok(LeftOut { labels, counts, scatter, tridiagonal, means, residuals, squares })
    }

    /// Returns the logits `[N, K]` for one λ.
    pub(super) fn logits(
        &self,
        lambda: f64,
        priors: &Priors,
    ) -> Result<Array2<f64>, ClassifierError> {
        let (n, classes) = (self.labels.len(), self.counts.len());
        // Two points in each class leave this positive.
        let freedom = (n - 1 - classes) as f64;
        let mut logits = Array2::zeros((n, classes));
        let mut halves = Array2::zeros(self.means.dim());
        let mut own = Array1::zeros(self.means.ncols());
        for (point, mut row) in logits.rows_mut().into_iter().enumerate() {
            let label = self.labels[point];
            let count = self.counts[label] as f64;
            let factor = count / (count - 1.0);
            let trace = self.scatter.trace - factor * self.squares[point];
            if trace <= LEAST * self.scatter.trace {
                return Err(ClassifierError::Flat);
            }
            let kept = 1.0 - lambda;
            let shifted = self.tridiagonal.shifted(kept, lambda * trace / self.scatter.size);
            for (mean, half) in self.means.rows().into_iter().zip(halves.rows_mut()) {
                shifted.half(mean, half);
            }
            shifted.half(self.residuals.row(point), own.view_mut());
            // Products of the halves are products with M⁻¹ between. First the point itself.
            let x = &halves.row(label) + &own;
            halves.row_mut(label).scaled_add(-1.0 / (count - 1.0), &own);
            let gain = kept * factor / (1.0 - kept * factor * own.dot(&own));
            let of_x = x.dot(&own);
            let logs = priors.logs(Some((point, label)));
            for ((half, logit), log) in halves.rows().into_iter().zip(&mut row).zip(logs) {
                let of_mean = half.dot(&own);
                let cross = half.dot(&x) + gain * of_x * of_mean;
                let square = half.dot(&half) + gain * of_mean * of_mean;
                *logit = freedom * (cross - square / 2.0) + log;
            }
            if row.iter().any(|logit| !logit.is_finite()) {
                let size = self.scatter.size as usize;
                return Err(ClassifierError::Singular { points: n - 1, classes, size });
            }
        }
        Ok(logits)
    }
}
