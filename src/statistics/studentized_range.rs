//! The studentized range with infinite degrees of freedom: the range of k independent standard
//! normal variables.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// Returns P(range > q) of `count` variables: 1 − k ∫ φ(z) [Φ(z) − Φ(z − q)]^(k−1) dz, where z is
/// the largest variable (Tukey 1953; like SciPy's `studentized_range.sf(q, k, inf)`).
pub fn above(range: f64, count: usize) -> f64 {
    let Ok(normal) = Normal::new(0.0, 1.0) else { return 1.0 };
    if range <= 0.0 || count < 2 {
        return 1.0;
    }
    // Beyond nine deviations φ is negligible, and the trapezoidal rule converges faster than any
    // power of its step.
    const STEP: f64 = 1.0 / 16.0;
    let term =
        |z: f64| normal.pdf(z) * (normal.cdf(z) - normal.cdf(z - range)).powf(count as f64 - 1.0);
    let below: f64 = (-144..=144).map(|index| term(f64::from(index) * STEP)).sum::<f64>() * STEP;
    (1.0 - count as f64 * below).clamp(0.0, 1.0)
}

/// Returns the range that `count` variables exceed with this probability.
pub fn quantile_above(probability: f64, count: usize) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if above(middle, count) > probability { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}
