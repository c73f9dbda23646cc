//! exp, tanh and the normal distribution in single precision, written for vector lanes.
//!
//! The polynomials are our own minimax fits (Lawson's iteration over Chebyshev bases, in double
//! precision). The tests measure errors against double precision: relative 2e-7 for exp, absolute
//! 2e-7 for tanh and Φ.

/// Returns e^x; 0 below −87, about 2.4e38 above 88.37.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // e^x = 2^n·e^r with n = round(x/ln 2); adding and subtracting 1.5·2²³ rounds.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.37);
    let rounded = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    // ln 2 in two parts; the product of the first part and any n is exact.
    let r = n.mul_add(-0.693_359_4, clamped);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 0.001_395_604_7_f32;
    let p = p.mul_add(r, 0.008_375_129);
    let p = p.mul_add(r, 0.041_666_083);
    let p = p.mul_add(r, 0.166_664_15);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r, 1.0);
    let p = p.mul_add(r, 1.0);
    // The low bits of the rounded sum are n. A conversion to an integer would not be vectorised.
    let power =
        f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

/// Returns tanh(x).
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // 1 − 2/(e^(2|x|) + 1) loses digits near 0, where the first terms of the series are accurate
    // enough.
    let size = x.abs();
    let far = 1.0 - 2.0 / (exp(2.0 * size.min(20.0)) + 1.0);
    let s = x * x;
    let p = -0.008_863_236_f32;
    let p = p.mul_add(s, 0.021_869_488);
    let p = p.mul_add(s, -0.053_968_254);
    let p = p.mul_add(s, 0.133_333_33);
    let p = p.mul_add(s, -0.333_333_34);
    let near = (p * s).mul_add(size, size);
    let magnitude = if size < 0.25 { near } else { far };
    magnitude.copysign(x)
}

/// Returns the standard normal distribution function Φ(x) and its density φ(x).
#[inline(always)]
pub fn normal(x: f32) -> (f32, f32) {
    // Φ(−z) = e^(−z²/2)·q(k) with k = 1/(1 + 0.55z), in the form of Hastings (1955). One
    // exponential serves both results.
    let size = x.abs();
    let bell = exp(-0.5 * size * size);
    let k = 1.0 / size.mul_add(0.55, 1.0);
    let q = -0.042_672_697_f32;
    let q = q.mul_add(k, 0.256_978_06);
    let q = q.mul_add(k, -0.608_131_9);
    let q = q.mul_add(k, 0.587_705_25);
    let q = q.mul_add(k, 0.057_080_027);
    let q = q.mul_add(k, 0.251_747_8);
    let q = q.mul_add(k, -0.002_706_540_3);
    let tail = bell * q;
    (if x < 0.0 { tail } else { 1.0 - tail }, bell * 0.398_942_3)
}

/// Returns GELU(x) = x·Φ(x) and its slope Φ(x) + x·φ(x).
#[inline(always)]
pub fn gelu(x: f32) -> (f32, f32) {
    let (cumulative, density) = normal(x);
    (x * cumulative, x.mul_add(density, cumulative))
}

/// Returns the tanh approximation of GELU and its slope.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> (f32, f32) {
    const ROOT: f32 = 0.797_884_6;
    const CUBIC: f32 = 0.044_715;
    let s = x * x;
    let t = tanh(ROOT * x * s.mul_add(CUBIC, 1.0));
    let inner = ROOT * s.mul_add(3.0 * CUBIC, 1.0);
    let half = t.mul_add(0.5, 0.5);
    (x * half, (0.5 * x * (1.0 - t * t)).mul_add(inner, half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samples::reference::erf64;

    fn worst(low: f32, high: f32, error: impl Fn(f32) -> f64) -> f64 {
        (0..=400_000).map(|i| error(low + (high - low) * i as f32 / 400_000.0)).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_as_exact_as_they_say() {
        let exp_error =
            worst(-86.9, 88.3, |x| (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs());
        assert!(exp_error < 2e-7, "{exp_error}");
        let tanh_error = worst(-12.0, 12.0, |x| (f64::from(tanh(x)) - f64::from(x).tanh()).abs());
        assert!(tanh_error < 2e-7, "{tanh_error}");
        let phi = |x: f64| 0.5 * (1.0 + erf64(x * std::f64::consts::FRAC_1_SQRT_2));
        let normal_error = worst(-8.0, 8.0, |x| (f64::from(normal(x).0) - phi(f64::from(x))).abs());
        assert!(normal_error < 2e-7, "{normal_error}");
        assert_eq!((normal(-40.0).0, normal(40.0).0), (0.0, 1.0));
        assert_eq!((exp(-200.0), exp(0.0)), (0.0, 1.0));
        assert!(exp(f32::MAX).is_finite() && exp(f32::NAN).is_nan());
    }

    #[test]
    fn slopes_are_those_of_the_functions() {
        for (name, f) in [("gelu", gelu as fn(f32) -> (f32, f32)), ("gelu_tanh", gelu_tanh)] {
            let error = worst(-6.0, 6.0, |x| {
                let h = 0.01;
                (f64::from(f(x + h).0 - f(x - h).0) / f64::from(2.0 * h) - f64::from(f(x).1)).abs()
            });
            assert!(error < 2e-4, "{name}: {error}");
        }
    }
}
