//! The class whose mean is nearest (Snell et al. 2017, arXiv 1703.05175): the right baseline where
//! a class has four points or fewer.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::error::ClassifierError;
use super::points::{Linear, Points};
use super::temperature;

/// Class means and the temperature of their distances.
#[derive(Clone, Debug, PartialEq)]
pub struct Prototypes {
    /// `[K, E]`
    pub means: Array2<f64>,
    /// T
    pub temperature: f64,
}

/// More points of known class, such as the texts of labels. They move the means, and none of them
/// is ever left out.
#[derive(Clone, Copy, Debug)]
pub struct Extra<'a> {
    /// `[M, E]`
    pub x: ArrayView2<'a, f64>,
    /// `[M]`, below K.
    pub labels: &'a [usize],
    /// How much each counts; a point of the class counts as its own weight.
    pub weight: f64,
}

impl Prototypes {
    /// Fits class means to points, which should be of unit length, and the temperature by
    /// leave-one-out negative log-likelihood. A class whose only point would be left out is not
    /// asked. Without any point to ask, T is 1.
    ///
    /// # Errors
    ///
    /// Refuses points that [`Points::check`] refuses, and extra points of other sizes or classes,
    /// that are not finite, or with a weight that is not.
    pub fn fit(
        points: &Points<'_>,
        extra: Option<Extra<'_>>,
    ) -> Result<Prototypes, ClassifierError> {
        points.check()?;
        let sums = Sums::of(points, extra)?;
        let (asked, logits) = sums.left_out(points);
        let labels: Vec<usize> = asked.iter().map(|&point| points.labels[point]).collect();
        let weights: Vec<f64> = asked.iter().map(|&point| points.weight(point)).collect();
        let temperature = match asked.is_empty() {
            true => 1.0,
            false => temperature::fit_weighted(logits.view(), &labels, Some(&weights)),
        };
        let means = sums.means();
        match means.iter().all(|value| value.is_finite()) {
            true => Ok(Prototypes { means, temperature }),
            false => Err(ClassifierError::Overflow),
        }
    }

    /// Returns the logits −‖z − μ_c‖²/T as an affine map; what all classes share, −‖z‖²/T, is left
    /// out.
    pub fn linear(&self) -> Linear {
        let squares = self.means.rows().into_iter().map(|mean| -mean.dot(&mean));
        let bias: Array1<f64> = squares.collect();
        Linear { weight: &self.means * 2.0, bias }.tempered(self.temperature)
    }
}

/// Returns the points that can be left out, as others of their class remain, with their logits
/// −‖z − μ_c‖² `[M, K]` by the means without them.
///
/// # Errors
///
/// As for [`Prototypes::fit`].
pub fn leave_one_out(
    points: &Points<'_>,
    extra: Option<Extra<'_>>,
) -> Result<(Vec<usize>, Array2<f64>), ClassifierError> {
    points.check()?;
    Ok(Sums::of(points, extra)?.left_out(points))
}

/// Weighted sums of the points of each class.
struct Sums {
    /// `[K, E]`
    sums: Array2<f64>,
    /// The sum of weights.
    weights: Vec<f64>,
    /// How many points, extra ones too.
    members: Vec<usize>,
}

impl Sums {
    fn of(points: &Points<'_>, extra: Option<Extra<'_>>) -> Result<Sums, ClassifierError> {
        let classes = points.classes;
        let mut sums = Sums {
            sums: Array2::zeros((classes, points.x.ncols())),
            weights: vec![0.0; classes],
            members: vec![0; classes],
        };
        for (point, &label) in points.labels.iter().enumerate() {
            sums.add(points.x, point, label, points.weight(point));
        }
        let Some(extra) = extra else { return Ok(sums) };
        check(&extra, points)?;
        for (point, &label) in extra.labels.iter().enumerate() {
            sums.add(extra.x, point, label, extra.weight);
        }
        Ok(sums)
    }

    fn add(&mut self, x: ArrayView2<'_, f64>, point: usize, class: usize, weight: f64) {
        self.sums.row_mut(class).scaled_add(weight, &x.row(point));
        self.weights[class] += weight;
        self.members[class] += 1;
    }

    fn means(&self) -> Array2<f64> {
        let mut means = self.sums.clone();
        for (mut mean, weight) in means.rows_mut().into_iter().zip(&self.weights) {
            mean /= *weight;
        }
        means
    }

    fn left_out(&self, points: &Points<'_>) -> (Vec<usize>, Array2<f64>) {
        let means = self.means();
        let asked: Vec<usize> =
            (0..points.labels.len()).filter(|&at| self.members[points.labels[at]] > 1).collect();
        let mut logits = Array2::zeros((asked.len(), points.classes));
        for (&point, mut row) in asked.iter().zip(logits.axis_iter_mut(Axis(0))) {
            let (z, own) = (points.x.row(point), points.labels[point]);
            for (class, logit) in row.iter_mut().enumerate() {
                let offset = match class == own {
                    true => {
                        let weight = points.weight(point);
                        let mut sum = self.sums.row(own).to_owned();
                        sum.scaled_add(-weight, &z);
                        &z - &(sum / (self.weights[own] - weight))
                    }
                    false => &z - &means.row(class),
                };
                *logit = -offset.dot(&offset);
            }
        }
        (asked, logits)
    }
}

fn check(extra: &Extra<'_>, points: &Points<'_>) -> Result<(), ClassifierError> {
    let (rows, size) = (extra.x.nrows(), points.x.ncols());
    if extra.labels.len() != rows {
        let found = extra.labels.len();
        return Err(ClassifierError::Lengths { points: rows, found, what: "labels" });
    }
    if extra.x.ncols() != size {
        return Err(ClassifierError::Sizes { size, found: extra.x.ncols() });
    }
    let classes = points.classes;
    if let Some(point) = extra.labels.iter().position(|&label| label >= classes) {
        let label = extra.labels[point];
        return Err(ClassifierError::UnknownClass { point, label, classes });
    }
    let broken = |row: ndarray::ArrayView1<'_, f64>| row.iter().any(|value| !value.is_finite());
    if let Some(point) = extra.x.rows().into_iter().position(broken) {
        return Err(ClassifierError::NotFinite { point });
    }
    match extra.weight.is_finite() && extra.weight > 0.0 {
        true => Ok(()),
        false => Err(ClassifierError::Weight { point: 0, weight: extra.weight }),
    }
}
