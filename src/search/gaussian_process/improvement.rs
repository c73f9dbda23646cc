//! The logarithm of expected improvement, which has a slope even where the improvement itself
//! underflows (Ament et al. 2023).

use std::f64::consts::{PI, SQRT_2};

use statrs::function::erf::erfc;

/// Below this the sum loses its digits, and a continued fraction is used.
const TAIL: f64 = -5.0;

/// Terms of the continued fraction: at [`TAIL`] they give 14 digits.
const PARTS: u32 = 60;

/// Returns ln h(z) and its derivative. h(z) = φ(z) + z Φ(z) is the expected improvement for a mean
/// that is z better than the best so far, both in standard deviations.
pub(super) fn log_improvement(z: f64) -> (f64, f64) {
    if z > TAIL {
        let below = 0.5 * erfc(-z / SQRT_2);
        let improvement = (-0.5 * z * z).exp() / (2.0 * PI).sqrt() + z * below;
        return (improvement.ln(), below / improvement);
    }
    // With t = -z, Mills' ratio Φ(z) / φ(z) is 1 / (t + c), where c = 1 / (t + 2 / (t + 3 / (t +
    // …))) (Abramowitz & Stegun 26.2.14). So h = φ c / (t + c).
    let t = -z;
    let c = (2..=PARTS).rev().fold(t, |rest, part| t + f64::from(part) / rest).recip();
    (-0.5 * t * t - 0.5 * (2.0 * PI).ln() + (c / (t + c)).ln(), c.recip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_integral() {
        // h(z) is the integral of Φ from -∞ to z.
        for z in [-4.9_f64, -2.0, 0.0, 1.5] {
            let (count, width) = (200_000, (z + 14.0) / 200_000.0);
            let below = |x: f64| 0.5 * erfc(-x / SQRT_2);
            let sum: f64 =
                (0..count).map(|at| below(-14.0 + (f64::from(at) + 0.5) * width) * width).sum();
            let (log, slope) = log_improvement(z);
            assert!((log - sum.ln()).abs() < 1e-6, "{z}: {log} {}", sum.ln());
            assert!((slope - below(z) / sum).abs() < 1e-5 * slope);
        }
    }

    #[test]
    fn both_forms_meet_and_slopes_are_right() {
        let (above, below) = (log_improvement(TAIL + 1e-9), log_improvement(TAIL));
        assert!(
            (above.0 - below.0).abs() < 1e-7 && (above.1 - below.1).abs() < 1e-7,
            "{above:?} {below:?}"
        );
        for z in [-1e6, -300.0, -40.0, -6.0, -1.0, 0.5, 3.0, 30.0] {
            let step = 1e-6 * (1.0 + f64::abs(z));
            let difference =
                (log_improvement(z + step).0 - log_improvement(z - step).0) / (2.0 * step);
            let slope = log_improvement(z).1;
            assert!((difference - slope).abs() < 1e-4 * (1.0 + slope), "{z}: {difference} {slope}");
        }
    }
}
