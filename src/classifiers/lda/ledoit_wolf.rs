//! How far to shrink a covariance, after Ledoit and Wolf.

/// Ledoit and Wolf's estimate: Σ = (1−λ)·SS/n + λ·m·I, from n residuals of d numbers with the
/// scatter matrix SS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LedoitWolf {
    /// n, the number of residuals.
    pub n: f64,
    /// λ
    pub amount: f64,
    /// m = tr(SS/n)/d
    pub mean: f64,
}

impl LedoitWolf {
    /// Estimates λ from sums over the residuals: tr SS, ‖SS‖²_F and Σ‖r‖⁴ (Ledoit & Wolf 2004,
    /// lemma 3.2 to 3.4; scikit-learn's `ledoit_wolf` with `assume_centered`).
    pub fn of(n: f64, d: f64, trace: f64, squares: f64, fourth: f64) -> LedoitWolf {
        let mean = trace / (n * d);
        let squares = squares / (n * n);
        let delta = squares / d - mean * mean;
        let beta = ((fourth / n - squares) / (d * n)).min(delta);
        let amount = if beta > 0.0 { beta / delta } else { 0.0 };
        LedoitWolf { n, amount, mean }
    }

    /// Returns the eigenvalue of Σ for an eigenvalue of SS.
    pub fn variance(self, value: f64) -> f64 {
        (1.0 - self.amount) * value / self.n + self.amount * self.mean
    }
}
