//! The covariance of a Gaussian process: Matérn 5/2, with a length scale for each axis (Rasmussen &
//! Williams 2006, section 4.2).

use crate::search::space::{AxisKind, Space};

/// The features of points for the kernel: one number per axis, from 0 to 1 on an ordered axis.
pub(super) struct Features {
    /// Whether only equality counts, not the distance between two coordinates.
    pub nominal: Vec<bool>,
}

/// The feature of an axis that does not exist: the middle, which is the least informative value. An
/// absent choice differs from all present ones.
const ABSENT: f64 = 0.5;
const NO_CHOICE: f64 = -1.0;

impl Features {
    pub(super) fn new(space: &Space) -> Features {
        let nominal = space.axes.iter().map(|axis| matches!(axis.kind, AxisKind::Choice(_)));
        Features { nominal: nominal.collect() }
    }

    /// Returns the features of a point.
    pub(super) fn of(&self, space: &Space, point: &[Option<f64>]) -> Vec<f64> {
        let feature =
            |(at, kind): (usize, &AxisKind)| match (kind, point.get(at).copied().flatten()) {
                (AxisKind::Choice(_), value) => value.unwrap_or(NO_CHOICE),
                (_, None) => ABSENT,
                (AxisKind::Steps(steps), Some(value)) => (value + 0.5) / *steps as f64,
                (AxisKind::Continuous, Some(value)) => value,
            };
        space.axes.iter().map(|axis| &axis.kind).enumerate().map(feature).collect()
    }

    /// Returns the squared distance along one axis.
    pub(super) fn squared(&self, axis: usize, one: f64, other: f64) -> f64 {
        if self.nominal[axis] { f64::from(u8::from(one != other)) } else { (one - other).powi(2) }
    }
}

/// The parameters of the process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kernel {
    /// For each axis, one over the squared length scale.
    pub inverse_squares: Vec<f64>,
    /// The variance of the function.
    pub signal: f64,
    /// The variance of the noise of each observation.
    pub noise: f64,
}

impl Kernel {
    /// Returns the squared distance of two feature vectors in units of the length scales.
    pub(super) fn distance(&self, features: &Features, one: &[f64], other: &[f64]) -> f64 {
        let axes = self.inverse_squares.iter().enumerate();
        axes.map(|(axis, inverse)| inverse * features.squared(axis, one[axis], other[axis])).sum()
    }
}

/// Returns the correlation at a squared distance and its derivative by the squared distance.
pub(super) fn matern(squared: f64) -> (f64, f64) {
    let root = (5.0 * squared).sqrt();
    let decay = (-root).exp();
    ((1.0 + root + 5.0 / 3.0 * squared) * decay, -5.0 / 6.0 * (1.0 + root) * decay)
}
