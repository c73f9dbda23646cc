//! The posterior of the function given the observations, and the expected improvement of another
//! point.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::fit::weigh;
use super::improvement::log_improvement;
use super::kernel::{Features, Kernel, matern};

/// A Gaussian process with observations.
pub(super) struct Posterior<'a> {
    features: &'a Features,
    kernel: Kernel,
    places: Vec<Vec<f64>>,
    factor: Cholesky<f64, Dyn>,
    /// The prior mean of the function.
    average: f64,
    /// K⁻¹ (y - average).
    weights: DVector<f64>,
    /// The lowest expectation at any observed place.
    best: f64,
    /// The middle of a valley that is excluded from the search.
    shunned: Option<Vec<f64>>,
}

/// The smallest variance of a place, in units of the signal's variance: below, rounding errors
/// dominate.
const LEAST_VARIANCE: f64 = 1e-12;

/// A place that correlates more than this with the bottom of a valley belongs to it.
const VALLEY: f64 = 0.5;

/// How often the noise is raised tenfold if rounding leaves the matrix without a factor.
const ATTEMPTS: i32 = 8;

impl<'a> Posterior<'a> {
    /// Conditions the process on the values at the first places. At the others, where trials are
    /// still running, it uses their expectations (Ginsbourger et al. 2010, "kriging believer").
    /// Returns `None` if the matrix has no factor.
    pub(super) fn new(
        features: &'a Features,
        kernel: Kernel,
        places: Vec<Vec<f64>>,
        values: &[f64],
    ) -> Option<Posterior<'a>> {
        let known = places.get(..values.len())?.to_vec();
        let (kernel, factor) = factor(features, kernel, &known)?;
        let (average, weights) = weigh(&factor, &DVector::from_column_slice(values));
        let mut posterior = Posterior {
            features,
            kernel,
            places: known,
            factor,
            average,
            weights,
            best: f64::INFINITY,
            shunned: None,
        };
        // With noise, the smallest value may be a lucky one; the smallest expectation is not.
        posterior.best = posterior
            .places
            .iter()
            .map(|place| posterior.mean(place))
            .fold(f64::INFINITY, f64::min);
        if places.len() > values.len() {
            let running = places[values.len()..].iter().map(|place| posterior.mean(place));
            let believed: Vec<f64> = values.iter().copied().chain(running).collect();
            let (kernel, factor) = self::factor(features, posterior.kernel, &places)?;
            let deviations = DVector::from_vec(believed).add_scalar(-posterior.average);
            posterior.weights = factor.solve(&deviations);
            (posterior.kernel, posterior.factor, posterior.places) = (kernel, factor, places);
        }
        Some(posterior)
    }

    /// Excludes the valley around a place: improvement is measured from the best place outside.
    pub(super) fn shun(&mut self, place: &[f64]) {
        self.shunned = Some(place.to_vec());
        let outside =
            self.places.iter().filter(|place| !self.shuns(place)).map(|place| self.mean(place));
        let best = outside.fold(f64::INFINITY, f64::min);
        // If all observations lie in one valley, improvement is measured from the prior mean.
        self.best = if best.is_finite() { best } else { self.average };
    }

    /// Returns whether a place lies in the excluded valley.
    pub(super) fn shuns(&self, place: &[f64]) -> bool {
        let correlation =
            |middle: &Vec<f64>| matern(self.kernel.distance(self.features, place, middle)).0;
        self.shunned.as_ref().is_some_and(|middle| correlation(middle) > VALLEY)
    }

    fn mean(&self, place: &[f64]) -> f64 {
        let covariance = |other: &Vec<f64>| {
            self.kernel.signal * matern(self.kernel.distance(self.features, place, other)).0
        };
        let terms = self.places.iter().zip(self.weights.iter());
        self.average + terms.map(|(other, weight)| weight * covariance(other)).sum::<f64>()
    }

    /// Returns the logarithm of the expected improvement at a place.
    pub(super) fn promise(&self, place: &[f64]) -> f64 {
        let signal = self.kernel.signal;
        let covariances = self
            .places
            .iter()
            .map(|other| signal * matern(self.kernel.distance(self.features, place, other)).0);
        let mut root = DVector::from_iterator(self.places.len(), covariances);
        let mean = self.average + root.dot(&self.weights);
        self.factor.l_dirty().solve_lower_triangular_mut(&mut root);
        let variance = (signal - root.norm_squared()).max(LEAST_VARIANCE * signal);
        let deviation = variance.sqrt();
        deviation.ln() + log_improvement((self.best - mean) / deviation).0
    }

    /// Returns the same, and writes its gradient by the features; along nominal axes the gradient
    /// is 0.
    pub(super) fn promise_with_gradient(&self, place: &[f64], gradient: &mut [f64]) -> f64 {
        let signal = self.kernel.signal;
        let pairs: Vec<(f64, f64)> = self
            .places
            .iter()
            .map(|other| matern(self.kernel.distance(self.features, place, other)))
            .collect();
        let covariances = DVector::from_iterator(
            pairs.len(),
            pairs.iter().map(|(correlation, _)| signal * correlation),
        );
        let mean = self.average + covariances.dot(&self.weights);
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

/// Returns the Cholesky factor of the covariance of observations, with more noise if needed.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::check::space;
    use crate::search::space::AxisKind;
    use proptest::prelude::*;

    fn kernel() -> Kernel {
        Kernel { inverse_squares: vec![9.0, 4.0], signal: 1.3, noise: 1e-4 }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn the_gradient_is_that_of_differences(
            rows in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64, -1.0..1.0_f64), 1..10),
            running in 0..3_usize,
            x in 0.05..0.95_f64,
            y in 0.05..0.95_f64,
        ) {
            let features = Features::new(&space([AxisKind::Continuous, AxisKind::Continuous]));
            let places: Vec<Vec<f64>> = rows.iter().map(|row| vec![row.0, row.1]).collect();
            let finished = rows.len().saturating_sub(running).max(1);
            let values: Vec<f64> = rows.iter().map(|row| row.2).take(finished).collect();
            let Some(posterior) = Posterior::new(&features, kernel(), places, &values) else {
                panic!("the matrix has a factor")
            };
            let mut gradient = [0.0; 2];
            let promise = posterior.promise_with_gradient(&[x, y], &mut gradient);
            prop_assert!((promise - posterior.promise(&[x, y])).abs() < 1e-9);
            let step = 1e-6;
            let differences = [
                posterior.promise(&[x + step, y]) - posterior.promise(&[x - step, y]),
                posterior.promise(&[x, y + step]) - posterior.promise(&[x, y - step]),
            ];
            for (difference, slope) in differences.iter().zip(gradient) {
                let difference = difference / (2.0 * step);
                prop_assert!(
                    (difference - slope).abs() < 1e-3 * (1.0 + slope.abs()),
                    "{difference} {slope}"
                );
            }
        }
    }

    #[test]
    fn running_trials_and_shunned_valleys_promise_little() {
        let features = Features::new(&space([AxisKind::Continuous, AxisKind::Continuous]));
        let places = vec![vec![0.1, 0.5], vec![0.5, 0.5], vec![0.8, 0.5]];
        let values = [0.5, -1.0, -0.6];
        let new = |places: Vec<Vec<f64>>| Posterior::new(&features, kernel(), places, &values);
        let with_running = places.iter().cloned().chain([vec![0.62, 0.5]]).collect();
        let (Some(mut alone), Some(beside)) = (new(places), new(with_running)) else {
            panic!("the matrix has a factor")
        };
        assert!(beside.promise(&[0.62, 0.5]) < alone.promise(&[0.62, 0.5]) - 1.0);
        let before = alone.promise(&[0.85, 0.5]);
        alone.shun(&[0.5, 0.5]);
        assert!(alone.shuns(&[0.52, 0.5]) && !alone.shuns(&[0.85, 0.5]));
        assert!(alone.promise(&[0.85, 0.5]) > before);
    }
}
