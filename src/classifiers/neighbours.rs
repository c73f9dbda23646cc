//! The classes of the nearest points. Its value is the explanation: the nearest texts show why a
//! prediction went wrong.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::choose::least;
use super::error::ClassifierError;
use super::numeric::score::score;
use super::points::{Points, counts};

/// The most neighbours by default.
const NEIGHBOURS: usize = 5;
/// What a class without a neighbour has, beside the weight 1 of the nearest point.
const FLOOR: f64 = 1e-6;
/// The temperatures that are tried are 10 to the power of these quarters, flattest first.
const QUARTERS: std::ops::RangeInclusive<i32> = -12..=12;

/// Points of known class, and how their classes are counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// `[N, E]`, of length 1.
    pub points: Array2<f64>,
    /// What each point adds to the classes, `[N, K]`: how much it counts to its own, 0 to others.
    pub votes: Array2<f64>,
    /// How many of the nearest count.
    pub k: usize,
    /// T
    pub temperature: f64,
    /// What is added to the logits: `[K]`.
    pub bias: Array1<f64>,
}

/// A point near another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number.
    pub point: usize,
    pub cosine: f64,
}

/// Returns the number of neighbours to ask: 5, or the size of the smallest class if that is less.
pub fn default_k(labels: &[usize], classes: usize) -> usize {
    counts(labels, classes).into_iter().min().unwrap_or(0).clamp(1, NEIGHBOURS)
}

impl Neighbours {
    /// Keeps points, scaled to length 1, and chooses the temperature by leave-one-out negative
    /// log-likelihood, the highest of equal ones.
    ///
    /// # Errors
    ///
    /// Refuses points that [`Points::check`] refuses, and a `k` of 0 or of more than the points.
    pub fn fit(points: &Points<'_>, k: usize) -> Result<Neighbours, ClassifierError> {
        points.check()?;
        let count = points.labels.len();
        if k == 0 || k > count {
            let expected = if k == 0 { "at least 1" } else { "no more than there are points" };
            return Err(ClassifierError::Setting { name: "k", value: k as f64, expected });
        }
        let mut votes = Array2::zeros((count, points.classes));
        for (point, &label) in points.labels.iter().enumerate() {
            votes[[point, label]] = points.weight(point);
        }
        let mut neighbours = Neighbours {
            points: unit(points.x),
            votes,
            k,
            temperature: 1.0,
            bias: Array1::zeros(points.classes),
        };
        let near = neighbours.near_each();
        let grid: Vec<f64> =
            QUARTERS.rev().map(|quarter| 10f64.powf(f64::from(quarter) / 4.0)).collect();
        let losses = grid.iter().map(|&temperature| {
            let logits = neighbours.count(&near, temperature);
            score(logits.view(), points.labels, points.weights).nll
        });
        neighbours.temperature = grid[least(losses)];
        Ok(neighbours)
    }

    /// Adds a number to the logit of each class.
    #[must_use]
    pub fn shifted(mut self, log_ratio: &[f64]) -> Neighbours {
        self.bias.iter_mut().zip(log_ratio).for_each(|(bias, shift)| *bias += shift);
        self
    }

    /// Returns the logits `[M, K]` of points `[M, E]`, which are scaled to length 1: the logarithm
    /// of the summed weights e^{cos/T} of each class among the k nearest, relative to the nearest,
    /// plus 1e-6.
    pub fn logits(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let x = unit(x);
        let near: Vec<Vec<Neighbour>> =
            x.rows().into_iter().map(|row| self.near(row, None)).collect();
        self.count(&near, self.temperature)
    }

    /// Returns the logits `[N, K]` of each point that is kept, among the others.
    pub fn left_out(&self) -> Array2<f64> {
        self.count(&self.near_each(), self.temperature)
    }

    /// Returns the k nearest points, nearest first, the lower number first of equally near ones.
    pub fn nearest(&self, x: ArrayView1<'_, f64>) -> Vec<Neighbour> {
        let length = x.dot(&x).sqrt();
        self.near((&x / length.max(f64::MIN_POSITIVE)).view(), None)
    }

    fn near_each(&self) -> Vec<Vec<Neighbour>> {
        let rows = self.points.rows().into_iter().enumerate();
        rows.map(|(point, row)| self.near(row, Some(point))).collect()
    }

    fn near(&self, x: ArrayView1<'_, f64>, left_out: Option<usize>) -> Vec<Neighbour> {
        let cosines: Array1<f64> = self.points.dot(&x);
        let all = cosines.iter().enumerate().map(|(point, &cosine)| Neighbour { point, cosine });
        let mut near: Vec<Neighbour> = all.filter(|it| Some(it.point) != left_out).collect();
        // The sort is stable, so that equal ones stay in the order of their numbers.
        near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        near.truncate(self.k);
        near
    }

    fn count(&self, near: &[Vec<Neighbour>], temperature: f64) -> Array2<f64> {
        let mut weights = Array2::from_elem((near.len(), self.votes.ncols()), FLOOR);
        for (near, mut row) in near.iter().zip(weights.rows_mut()) {
            let Some(nearest) = near.first() else { continue };
            for neighbour in near {
                let weight = ((neighbour.cosine - nearest.cosine) / temperature).exp();
                row.scaled_add(weight, &self.votes.row(neighbour.point));
            }
        }
        weights.mapv_into(f64::ln) + &self.bias
    }
}

/// Scales rows to length 1. Those that are so stay as they are but for rounding; one of zeros
/// stays.
fn unit(x: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut rows = x.to_owned();
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length.max(f64::MIN_POSITIVE);
    }
    rows
}
