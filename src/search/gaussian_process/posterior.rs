//! What is believed of the function after the observations, and how much a further one promises.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::improvement::log_improvement;
use super::kernel::{Features, Kernel, matern};

/// A Gaussian process with observations.
pub(super) struct Posterior<'a> {
    features: &'a Features,
    kernel: Kernel,
    places: Vec<Vec<f64>>,
    factor: Cholesky<f64, Dyn>,
    /// K⁻¹ y.
    weights: DVector<f64>,
    /// The best that is believed of any observed place.
    best: f64,
}

/// The variance of a place in units of the signal's is no less: below that, rounding decides.
const LEAST_VARIANCE: f64 = 1e-12;

/// How often the noise is raised tenfold where rounding left the matrix without a factor.
const ATTEMPTS: i32 = 8;

impl<'a> Posterior<'a> {
    /// Conditions the process on the values at the first places; at the others, where trials are still running, on their own
    /// expectations (Ginsbourger et al. 2010, "kriging believer"). `None` where the matrix has no factor.
    pub fn new(
        features: &'a Features,
        kernel: Kernel,
        places: Vec<Vec<f64>>,
        values: &[f64],
    ) -> Option<Posterior<'a>> {
        let known = places.get(..values.len())?.to_vec();
        let (kernel, factor) = factor(features, kernel, &known)?;
        let weights = factor.solve(&DVector::from_column_slice(values));
        let mut posterior =
            Posterior { features, kernel, places: known, factor, weights, best: f64::INFINITY };
        // With noise, the least value may be the luckiest one; the least expectation is not.
        posterior.best =
            posterior.places.iter().map(|place| posterior.mean(place)).fold(f64::INFINITY, f64::min);
        if places.len() > values.len() {
            let running = places[values.len()..].iter().map(|place| posterior.mean(place));
            let believed: Vec<f64> = values.iter().copied().chain(running).collect();
            let (kernel, factor) = self::factor(features, posterior.kernel, &places)?;
            posterior.weights = factor.solve(&DVector::from_vec(believed));
            (posterior.kernel, posterior.factor, posterior.places) = (kernel, factor, places);
        }
        Some(posterior)
    }

    fn mean(&self, place: &[f64]) -> f64 {
        let covariance = |other: &Vec<f64>| {
            self.kernel.signal * matern(self.kernel.distance(self.features, place, other)).0
        };
        self.places.iter().zip(self.weights.iter()).map(|(other, weight)| weight * covariance(other)).sum()
    }

    /// Returns the logarithm of the improvement that is expected from an observation at a place.
    pub fn promise(&self, place: &[f64]) -> f64 {
        let signal = self.kernel.signal;
        let covariances = self
            .places
            .iter()
            .map(|other| signal * matern(self.kernel.distance(self.features, place, other)).0);
        let mut root = DVector::from_iterator(self.places.len(), covariances);
        let mean = root.dot(&self.weights);
        self.factor.l_dirty().solve_lower_triangular_mut(&mut root);
        let variance = (signal - root.norm_squared()).max(LEAST_VARIANCE * signal);
        let deviation = variance.sqrt();
        deviation.ln() + log_improvement((self.best - mean) / deviation).0
    }

    /// The same, and its gradient by the features; along nominal axes, which have no slope, it is 0.
    pub fn promise_with_gradient(&self, place: &[f64], gradient: &mut [f64]) -> f64 {
        let signal = self.kernel.signal;
        let pairs: Vec<(f64, f64)> = self
            .places
            .iter()
            .map(|other| matern(self.kernel.distance(self.features, place, other)))
            .collect();
        let covariances =
            DVector::from_iterator(pairs.len(), pairs.iter().map(|(correlation, _)| signal * correlation));
        let mean = covariances.dot(&self.weights);
        let mut solved = covariances;
        let lower = self.factor.l_dirty();
        lower.solve_lower_triangular_mut(&mut solved);
        let variance = (signal - solved.norm_squared()).max(LEAST_VARIANCE * signal);
        lower.tr_solve_lower_triangular_mut(&mut solved);
        let deviation = variance.sqrt();
        let z = (self.best - mean) / deviation;
        let (log, slope) = log_improvement(z);
        gradient.fill(0.0);
        // ln EI = ln σ + ln h(z): by the mean -h'/h / σ, by the variance (1 - z h'/h) / 2σ².
        let (by_mean, by_variance) = (-slope / deviation, (1.0 - z * slope) / (2.0 * variance));
        for (at, (other, (_, bend))) in self.places.iter().zip(&pairs).enumerate() {
            // The mean is k·α, the variance s - kᵀ K⁻¹ k.
            let by_covariance = by_mean * self.weights[at] - 2.0 * by_variance * solved[at];
            let factor = 2.0 * by_covariance * signal * bend;
            for (axis, inverse) in self.kernel.inverse_squares.iter().enumerate() {
                if !self.features.nominal[axis] {
                    gradient[axis] += factor * inverse * (place[axis] - other[axis]);
                }
            }
        }
        deviation.ln() + log
    }
}

/// Returns the Cholesky factor of the covariance of observations, with more noise where it needs some.
fn factor(
    features: &Features,
    mut kernel: Kernel,
    places: &[Vec<f64>],
) -> Option<(Kernel, Cholesky<f64, Dyn>)> {
    let covariance = DMatrix::from_fn(places.len(), places.len(), |row, column| {
        if row < column {
            return 0.0;
        }
        kernel.signal * matern(kernel.distance(features, &places[row], &places[column])).0
    });
    for _ in 0..ATTEMPTS {
        let mut noisy = covariance.clone();
        (0..places.len()).for_each(|at| noisy[(at, at)] += kernel.noise);
        if let Some(factor) = Cholesky::new(noisy) {
            return Some((kernel, factor));
        }
        kernel.noise *= 10.0;
    }
    None
}
