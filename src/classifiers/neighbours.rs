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
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// `[N, E]`, of unit length.
    points: Array2<f64>,
    labels: Vec<usize>,
    classes: usize,
    k: usize,
    temperature: f64,
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
    /// Keeps points of unit length, and chooses the temperature by leave-one-out negative
    /// log-likelihood, the highest of equal ones.
    ///
    /// # Errors
    ///
    /// Refuses points that [`Points::check`] refuses, and a `k` of 0.
    pub fn fit(points: &Points<'_>, k: usize) -> Result<Neighbours, ClassifierError> {
        points.check()?;
        if k == 0 {
            let expected = "at least 1";
            return Err(ClassifierError::Setting { name: "k", value: 0.0, expected });
        }
        let mut neighbours = Neighbours {
            points: points.x.to_owned(),
            labels: points.labels.to_vec(),
            classes: points.classes,
            k,
            temperature: 1.0,
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

    /// Returns the temperature.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// Returns the logits `[M, K]` of points `[M, E]` of unit length: the logarithm of the summed
    /// weights e^{cos/T} of each class among the k nearest, relative to the nearest, plus 1e-6.
    pub fn logits(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
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
        self.near(x, None)
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
        let mut weights = Array2::from_elem((near.len(), self.classes), FLOOR);
        for (near, mut row) in near.iter().zip(weights.rows_mut()) {
            let Some(nearest) = near.first() else { continue };
            for neighbour in near {
                let weight = ((neighbour.cosine - nearest.cosine) / temperature).exp();
                row[self.labels[neighbour.point]] += weight;
            }
        }
        weights.mapv_into(f64::ln)
    }
}
