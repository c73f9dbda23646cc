//! Class means and the scatter of the points around them.

use ndarray::Array2;

use super::ledoit_wolf::LedoitWolf;
use crate::classifiers::error::ClassifierError;
use crate::classifiers::numeric::span::Span;
use crate::classifiers::points::Points;

/// A scatter that is a smaller share of the points' squares is rounding.
const LEAST: f64 = 1e-26;

/// What LDA needs of the points, in the `r` coordinates of their span.
pub(super) struct Scatter {
    pub(super) span: Span,
    /// `[K, r]`
    pub(super) means: Array2<f64>,
    /// Each point minus the mean of its class: `[N, r]`.
    pub(super) residuals: Array2<f64>,
    /// SS, the sum of rrᵀ over the residuals r: `[r, r]`.
    pub(super) matrix: Array2<f64>,
    /// tr SS
    pub(super) trace: f64,
    /// E, which also counts the directions outside the span.
    pub(super) size: f64,
}

impl Scatter {
    /// Computes the scatter of checked points.
    ///
    /// # Errors
    ///
    /// Refuses points that are all equal to the mean of their class.
    pub(super) fn of(points: &Points<'_>) -> Result<Scatter, ClassifierError> {
        let span = Span::of(points.x);
        let mut means = Array2::zeros((points.classes, span.coordinates.ncols()));
        for (row, &label) in span.coordinates.rows().into_iter().zip(points.labels) {
            means.row_mut(label).scaled_add(1.0, &row);
        }
        for (mut mean, count) in means.rows_mut().into_iter().zip(points.counts()) {
            mean /= count as f64;
        }
        let mut residuals = span.coordinates.clone();
        for (mut row, &label) in residuals.rows_mut().into_iter().zip(points.labels) {
            row -= &means.row(label);
        }
        let matrix = residuals.t().dot(&residuals);
        let trace = matrix.diag().sum();
        let whole: f64 = span.coordinates.iter().map(|value| value * value).sum();
        if !whole.is_finite() {
            return Err(ClassifierError::Overflow);
        }
        if trace <= LEAST * whole {
            return Err(ClassifierError::Flat);
        }
        let size = points.x.ncols() as f64;
        Ok(Scatter { span, means, residuals, matrix, trace, size })
    }

    /// Returns Ledoit and Wolf's λ.
    pub(super) fn ledoit_wolf(&self) -> f64 {
        let squares = self.matrix.iter().map(|value| value * value).sum();
        let norms = self.residuals.rows().into_iter().map(|row| row.dot(&row));
        let fourth = norms.map(|square| square * square).sum();
        let n = self.residuals.nrows() as f64;
        LedoitWolf::of(n, self.size, self.trace, squares, fourth).amount
    }
}
