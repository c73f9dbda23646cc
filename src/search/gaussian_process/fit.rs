//! The parameters of a Gaussian process at the maximum of their posterior density.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::kernel::{Features, Kernel, matern};
use crate::search::minimise::minimise;

/// The smallest variance of the noise, in units of the observations' variance: below, the matrix
/// has no Cholesky factor.
const LEAST_NOISE: f64 = 1e-9;

/// One over the prior variance of the function's mean.
const MEAN_PRECISION: f64 = 1.0;

/// The number of random starts beside the fixed one.
const RANDOM_STARTS: usize = 1;

/// Steps of each ascent.
const ITERATIONS: usize = 60;

/// A normal prior of a parameter's logarithm.
struct Belief {
    mean: f64,
    deviation: f64,
}

/// The prior of the function's variance, which is about the variance of the observations.
const SIGNAL: Belief = Belief { mean: 0.0, deviation: 2.0 };

/// The noise is nearly unknown: trainings range from exactly repeatable to mostly luck.
const NOISE: Belief = Belief { mean: -8.0, deviation: 4.0 };

/// One over the squared length scale. Length scales grow with the root of the number of axes, as
/// distances do (Hvarfner et al. 2024). Their prior is wider: with it, a dozen observations of six
/// axes often make all except one or two axes look irrelevant.
fn inverse_square(axes: usize) -> Belief {
    let mean = LENGTH_SCALE.ln() + 0.5 * (axes.max(1) as f64).ln();
    Belief { mean: -2.0 * mean, deviation: 1.5 }
}

/// The median of the length scale with one axis.
const LENGTH_SCALE: f64 = 0.4;

impl Belief {
    /// Returns the density's negative logarithm, up to a constant, and its derivative.
    fn cost(&self, value: f64) -> (f64, f64) {
        let distance = (value - self.mean) / self.deviation;
        (0.5 * distance * distance, distance / self.deviation)
    }
}

/// Observations in the form for the likelihood.
pub(super) struct Evidence {
    values: DVector<f64>,
    /// `[axes][pairs]`: squared distances of all pairs of observations, the later one first.
    distances: Vec<Vec<f64>>,
}

impl Evidence {
    pub(super) fn new(features: &Features, places: &[Vec<f64>], values: &[f64]) -> Evidence {
        let pairs = || (0..places.len()).flat_map(|row| (0..row).map(move |column| (row, column)));
        let axis = |axis: usize| {
            pairs()
                .map(|(row, column)| {
                    features.squared(axis, places[row][axis], places[column][axis])
                })
                .collect()
        };
        Evidence {
            values: DVector::from_column_slice(values),
            distances: (0..features.nominal.len()).map(axis).collect(),
        }
    }

    /// Returns the negative logarithm of the posterior density of the parameters (up to a constant)
    /// and writes its gradient. Parameters are logarithms: one over the squared length scales, the
    /// signal's variance, the noise's.
    fn cost(&self, parameters: &[f64], gradient: &mut [f64]) -> f64 {
        let (axes, count) = (self.distances.len(), self.values.len());
        let kernel = kernel(parameters);
        let mut squares = vec![0.0; count * count.saturating_sub(1) / 2];
        for (distances, inverse) in self.distances.iter().zip(&kernel.inverse_squares) {
            squares
                .iter_mut()
                .zip(distances)
                .for_each(|(sum, distance)| *sum += inverse * distance);
        }
        let correlations: Vec<(f64, f64)> = squares.into_iter().map(matern).collect();
        let mut covariance = DMatrix::zeros(count, count);
        let mut pair = correlations.iter();
        for row in 0..count {
            for (column, (correlation, _)) in (0..row).zip(&mut pair) {
                covariance[(row, column)] = kernel.signal * correlation;
            }
            covariance[(row, row)] = kernel.signal + kernel.noise;
        }
        // Reads the lower triangle only.
        let Some(factor) = Cholesky::new(covariance) else {
            gradient.fill(0.0);
            return f64::INFINITY;
        };
        let (mean, weights) = weigh(&factor, &self.values);
        let lower = factor.l_dirty();
        let log_root: f64 = (0..count).map(|at| lower[(at, at)].ln()).sum();
        let mut cost = 0.5 * self.values.add_scalar(-mean).dot(&weights) + log_root;
        cost += 0.5 * MEAN_PRECISION * mean * mean;
        // The mean is the most likely one for these parameters, so its change affects the cost only
        // to second order. The gradient is half the trace of (K⁻¹ - α αᵀ) dK (Rasmussen & Williams
        // 2006, equation 5.9).
        let inverse = inverse(&factor);
        gradient.fill(0.0);
        let mut slopes = Vec::with_capacity(correlations.len());
        let mut pair = correlations.iter();
        let (mut by_signal, mut trace) = (0.0, 0.0);
        for row in 0..count {
            for (column, (correlation, slope)) in (0..row).zip(&mut pair) {
                let outer = inverse[(row, column)] - weights[row] * weights[column];
                by_signal += outer * kernel.signal * correlation;
                slopes.push(outer * kernel.signal * slope);
            }
            let outer = inverse[(row, row)] - weights[row] * weights[row];
            by_signal += 0.5 * outer * kernel.signal;
            trace += 0.5 * outer;
        }
        for (axis, (distances, inverse)) in
            self.distances.iter().zip(&kernel.inverse_squares).enumerate()
        {
            let sum: f64 =
                slopes.iter().zip(distances).map(|(slope, distance)| slope * distance).sum();
            gradient[axis] = inverse * sum;
        }
        gradient[axes] = by_signal;
        gradient[axes + 1] = trace * kernel.noise;
        for (at, belief) in beliefs(axes).iter().enumerate() {
            let (more, slope) = belief.cost(parameters[at]);
            cost += more;
            gradient[at] += slope;
        }
        cost
    }
}

/// Returns the most likely mean of the function, m, and K⁻¹ (y - m). Observations cluster where the
/// function is low. Their own mean would be too low for unexplored places and send the search to
/// every corner.
pub(super) fn weigh(factor: &Cholesky<f64, Dyn>, values: &DVector<f64>) -> (f64, DVector<f64>) {
    let ones = factor.solve(&DVector::from_element(values.len(), 1.0));
    let weights = factor.solve(values);
    let mean = weights.sum() / (ones.sum() + MEAN_PRECISION);
    (mean, weights - ones * mean)
}

/// Returns the inverse of the factored matrix.
fn inverse(factor: &Cholesky<f64, Dyn>) -> DMatrix<f64> {
    let lower = factor.l();
    let count = lower.nrows();
    let mut root = DMatrix::identity(count, count);
    lower.solve_lower_triangular_mut(&mut root);
    root.transpose() * root
}

fn beliefs(axes: usize) -> Vec<Belief> {
    (0..axes).map(|_| inverse_square(axes)).chain([SIGNAL, NOISE]).collect()
}

fn kernel(parameters: &[f64]) -> Kernel {
    let axes = parameters.len() - 2;
    Kernel {
        inverse_squares: parameters[..axes].iter().map(|value| value.exp()).collect(),
        signal: parameters[axes].exp(),
        noise: parameters[axes + 1].exp(),
    }
}

/// Finds the most likely parameters from a start in the middle and random starts; the first of
/// equally likely ones wins.
pub(super) fn fit(evidence: &Evidence, random: &mut ChaCha8Rng) -> Kernel {
    let axes = evidence.distances.len();
    let mut bounds = vec![(-12.0, 10.0); axes];
    bounds.extend([(-6.0, 9.0), (LEAST_NOISE.ln(), 1.0)]);
    // Length scales of half the space; a signal as large as the observations, little noise.
    let mut start = vec![2.0 * 2.0_f64.ln() - (axes.max(1) as f64).ln(); axes];
    start.extend([0.0, -8.0]);
    let mut best =
        minimise(start.clone(), &bounds, ITERATIONS, |at, gradient| evidence.cost(at, gradient));
    for _ in 0..RANDOM_STARTS {
        let shifted =
            start.iter().map(|value| value + 6.0 * (random.random::<f64>() - 0.5)).collect();
        let found =
            minimise(shifted, &bounds, ITERATIONS, |at, gradient| evidence.cost(at, gradient));
        if found.value < best.value {
            best = found;
        }
    }
    kernel(&best.place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use crate::search::check::space;
    use crate::search::space::AxisKind;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn the_gradient_is_that_of_differences(
            rows in prop::collection::vec((0.0..1.0_f64, 0..3_usize, -2.0..2.0_f64), 1..12),
            at in prop::collection::vec(-2.0..1.0_f64, 4),
        ) {
            let choice = AxisKind::Choice(vec![0.3, 0.3, 0.4]);
            let features = Features::new(&space([AxisKind::Continuous, choice]));
            let places: Vec<Vec<f64>> = rows.iter().map(|row| vec![row.0, row.1 as f64]).collect();
            let values: Vec<f64> = rows.iter().map(|row| row.2).collect();
            let evidence = Evidence::new(&features, &places, &values);
            let mut gradient = vec![0.0; 4];
            evidence.cost(&at, &mut gradient);
            for axis in 0..4 {
                let moved = |step: f64| {
                    let mut place = at.clone();
                    place[axis] += step;
                    evidence.cost(&place, &mut [0.0; 4])
                };
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                prop_assert!(
                    (difference - gradient[axis]).abs() < 1e-4 * (1.0 + difference.abs()),
                    "{axis}: {difference} {gradient:?}"
                );
            }
        }
    }

    #[test]
    fn finds_the_axis_that_matters() {
        let features = Features::new(&space([AxisKind::Continuous, AxisKind::Continuous]));
        let place = |at: u32| vec![f64::from(at) / 29.0, f64::from(at * 7 % 30) / 29.0];
        let places: Vec<Vec<f64>> = (0..30).map(place).collect();
        let values: Vec<f64> = places.iter().map(|place| (6.0 * place[0]).sin()).collect();
        let kernel = fit(&Evidence::new(&features, &places, &values), &mut stream(1, &[], 0));
        assert!(
            kernel.inverse_squares[0] > 5.0 * kernel.inverse_squares[1] && kernel.noise < 1e-3,
            "{kernel:?}"
        );
    }
}
