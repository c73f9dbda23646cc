//! Points with their classes, parts of them, and affine maps to logits.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::error::ClassifierError;

/// Points with their classes.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// `[N, E]`
    pub x: ArrayView2<'a, f64>,
    /// The class of each point, from 0: `[N]`.
    pub labels: &'a [usize],
    /// K
    pub classes: usize,
    /// How much each point counts; `None` if all count as 1.
    pub weights: Option<&'a [f64]>,
}

impl Points<'_> {
    /// Checks the points as every fit needs them: of one length, finite, with positive weights, and
    /// at least one in each of at least two classes.
    ///
    /// # Errors
    ///
    /// Says the first that is wrong.
    pub fn check(&self) -> Result<(), ClassifierError> {
        let points = self.x.nrows();
        let lengths =
            [("labels", Some(self.labels.len())), ("weights", self.weights.map(<[f64]>::len))];
        for (what, found) in lengths {
            if let Some(found) = found.filter(|found| *found != points) {
                return Err(ClassifierError::Lengths { points, found, what });
            }
        }
        let classes = self.classes;
        if classes < 2 {
            return Err(ClassifierError::FewClasses { classes });
        }
        if let Some(point) = self.labels.iter().position(|&label| label >= classes) {
            let label = self.labels[point];
            return Err(ClassifierError::UnknownClass { point, label, classes });
        }
        let broken = |row: ndarray::ArrayView1<'_, f64>| row.iter().any(|value| !value.is_finite());
        if let Some(point) = self.x.rows().into_iter().position(broken) {
            return Err(ClassifierError::NotFinite { point });
        }
        for (point, &weight) in self.weights.unwrap_or_default().iter().enumerate() {
            if !(weight.is_finite() && weight > 0.0) {
                return Err(ClassifierError::Weight { point, weight });
            }
        }
        match self.counts().iter().position(|&count| count == 0) {
            Some(class) => Err(ClassifierError::EmptyClass { class }),
            None => Ok(()),
        }
    }

    /// Returns the number of points of each class: `[K]`.
    pub fn counts(&self) -> Vec<usize> {
        counts(self.labels, self.classes)
    }

    /// Returns how much a point counts.
    pub fn weight(&self, point: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[point])
    }
}

/// Returns the number of points of each class: `[K]`. Labels beyond the classes are not counted.
pub(super) fn counts(labels: &[usize], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &label in labels {
        if let Some(count) = counts.get_mut(label) {
            *count += 1;
        }
    }
    counts
}

/// Some of the points, copied.
#[derive(Clone, Debug)]
pub struct Part {
    x: Array2<f64>,
    labels: Vec<usize>,
    classes: usize,
    weights: Option<Vec<f64>>,
}

impl Part {
    /// Copies the points with these numbers, in their order.
    pub fn of(points: &Points<'_>, kept: &[usize]) -> Part {
        Part {
            x: points.x.select(Axis(0), kept),
            labels: kept.iter().map(|&point| points.labels[point]).collect(),
            classes: points.classes,
            weights: points.weights.map(|all| kept.iter().map(|&point| all[point]).collect()),
        }
    }

    /// Returns the points.
    pub fn points(&self) -> Points<'_> {
        Points {
            x: self.x.view(),
            labels: &self.labels,
            classes: self.classes,
            weights: self.weights.as_deref(),
        }
    }
}

/// An affine map to logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// `[K, E]`
    pub weight: Array2<f64>,
    /// `[K]`
    pub bias: Array1<f64>,
}

impl Linear {
    /// Returns the logits `[N, K]` of points `[N, E]`.
    pub fn logits(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        x.dot(&self.weight.t()) + &self.bias
    }

    /// Divides the logits by a temperature.
    #[must_use]
    pub fn tempered(self, temperature: f64) -> Linear {
        Linear { weight: self.weight / temperature, bias: self.bias / temperature }
    }

    /// Adds a number to the logit of each class, such as the logarithm of a ratio of priors.
    #[must_use]
    pub fn shifted(mut self, log_ratio: &[f64]) -> Linear {
        for (bias, shift) in self.bias.iter_mut().zip(log_ratio) {
            *bias += shift;
        }
        self
    }

    /// Returns the map, or an error if a number of it is not finite.
    pub(super) fn finite(self) -> Result<Linear, ClassifierError> {
        let mut values = self.weight.iter().chain(&self.bias);
        match values.all(|value| value.is_finite()) {
            true => Ok(self),
            false => Err(ClassifierError::Overflow),
        }
    }
}
