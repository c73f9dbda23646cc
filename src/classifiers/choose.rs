//! The C of logistic regression, chosen by folds.

use ndarray::Array2;

use super::error::ClassifierError;
use super::folds::{judging, out_of_folds};
use super::logistic_regression;
use super::numeric::score::{Score, score};
use super::points::Points;

/// The values of C that are tried: 0.01 to 1000 in half decades.
pub const GRID: [f64; 11] = [
    0.01,
    0.031_622_776_601_683_79,
    0.1,
    0.316_227_766_016_837_94,
    1.0,
    3.162_277_660_168_379_5,
    10.0,
    31.622_776_601_683_793,
    100.0,
    316.227_766_016_837_94,
    1000.0,
];

/// The fits need not be closer to their optimum to be compared.
const TOLERANCE: f64 = 1e-9;
/// Likelihoods closer than this are equal, and then the simpler choice is taken.
pub(super) const TIE: f64 = 1e-9;

/// A chosen C.
#[derive(Clone, Debug)]
pub struct Choice {
    pub c: f64,
    /// The logits of each point by the fit with this C that has not seen it: `[N, K]`.
    pub logits: Array2<f64>,
    /// What was tried, in order.
    pub table: Vec<Row>,
}

/// One C and how well it does out of fold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub c: f64,
    pub score: Score,
}

/// Chooses among values of C, the smallest first, by the mean negative log-likelihood of each point
/// under the fit that has not seen its fold. Of equal values the first is taken. Weights of points
/// count in the fits and in the means.
///
/// # Errors
///
/// Refuses what [`super::out_of_fold`] and [`logistic_regression::path`] refuse, and an empty list.
pub fn c_by_folds(
    points: &Points<'_>,
    folds: &[usize],
    grid: &[f64],
) -> Result<Choice, ClassifierError> {
    let tried = out_of_folds(points, folds, grid.len(), |part| {
        logistic_regression::path(&part, grid, TOLERANCE)
    })?;
    let weights = judging(points.weights, folds);
    let rows = grid.iter().zip(&tried).map(|(&c, logits)| {
        let score = score(logits.view(), points.labels, weights.as_deref());
        Row { c, score }
    });
    let table: Vec<Row> = rows.collect();
    let best = least(table.iter().map(|row| row.score.nll));
    let expected = "at least one value of C";
    let none = ClassifierError::Setting { name: "grid", value: 0.0, expected };
    let logits = tried.into_iter().nth(best).ok_or(none)?;
    Ok(Choice { c: table[best].c, logits, table })
}

/// Returns the place of the least value, the first of those that are equal to it.
pub(super) fn least(values: impl Iterator<Item = f64>) -> usize {
    let (mut best, mut value) = (0, f64::INFINITY);
    for (at, other) in values.enumerate() {
        if other < value - TIE {
            (best, value) = (at, other);
        }
    }
    best
}
