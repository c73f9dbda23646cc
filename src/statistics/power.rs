//! The number of seeds that a difference needs to be detected.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

use super::summary::t_quantile;

/// The required power, at a two-sided level of 0.05.
const POWER: f64 = 0.8;
/// The standard normal quantiles of 0.975 and of [`POWER`].
const QUANTILES: f64 = 1.959_963_984_540_054 + 0.841_621_233_572_914_3;
/// The step of the integral below, in deviations of its density; a smaller step does not change the
/// first ten digits.
const STEP: f64 = 0.2;

/// Returns the smallest number of seeds at which a paired t-test detects a true difference. The
/// power is 80 %, the two-sided level 0.05, and `deviation` the sample deviation of paired
/// differences.
///
/// The power follows from the noncentral t distribution (Cohen 1988, § 2.3; like statsmodels'
/// `TTestPower`). It has n − 1 degrees of freedom and noncentrality √n · difference / deviation.
/// The deviation is treated as known. Estimated from few seeds it is uncertain, and so is the
/// result.
pub fn seeds_needed(deviation: f64, difference: f64) -> Option<u64> {
    if !(deviation.is_finite() && deviation >= 0.0 && difference > 0.0) {
        return None;
    }
    let effect = difference / deviation;
    // The normal approximation with Guenther's correction (1981) is off by at most one unless n is
    // tiny.
    let guess = (QUANTILES / effect).powi(2) + 1.959_963_984_540_054f64.powi(2) / 2.0;
    if guess > 1e6 {
        return Some(guess.ceil() as u64);
    }
    let mut count = (guess.round() as u64).max(2);
    while power(count, effect) < POWER {
        count += 1;
    }
    while count > 2 && power(count - 1, effect) >= POWER {
        count -= 1;
    }
    Some(count)
}

/// Returns the power of a two-sided paired t-test of level 0.05 at `count` pairs and an effect of
/// mean over deviation.
fn power(count: u64, effect: f64) -> f64 {
    let (freedom, shift) = (count as f64 - 1.0, effect * (count as f64).sqrt());
    let Some(critical) = t_quantile(freedom) else { return 0.0 };
    if shift > 40.0 + critical {
        return 1.0;
    }
    noncentral_t_above(critical, freedom, shift) + noncentral_t_above(critical, freedom, -shift)
}

/// P(T > t) of the noncentral t distribution: T = (Z + shift) / S, with S² a chi-squared variable
/// over its degrees of freedom, so the probability is ∫ Φ(shift − t·s) f(s) ds. Both factors are
/// smooth and f vanishes at its ends, so the trapezoidal rule converges faster than any power of
/// the step.
fn noncentral_t_above(t: f64, freedom: f64, shift: f64) -> f64 {
    let Ok(normal) = Normal::new(0.0, 1.0) else { return 0.0 };
    // In x = ln s the density s·f(s) falls off on both sides even with one degree of freedom.
    let spread = (2.0 / freedom).sqrt();
    let (low, high) = (-9.0 * spread - 12.0 / freedom, 4.0 * spread.min(1.2));
    let steps = ((high - low) / (STEP * spread)).ceil();
    let step = (high - low) / steps;
    let log_norm = (freedom / 2.0) * (freedom / 2.0).ln() + 2f64.ln() - ln_gamma(freedom / 2.0);
    let density = |x: f64| (log_norm + freedom * x - freedom / 2.0 * (2.0 * x).exp()).exp();
    let term = |x: f64| normal.cdf(shift - t * x.exp()) * density(x);
    (0..=steps as usize).map(|index| term(low + step * index as f64)).sum::<f64>() * step
}
