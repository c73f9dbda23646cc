//! Mean, sample deviation and Student's interval of a few values.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A 95 % interval, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// The mean of a few values, with its spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub count: usize,
    pub mean: f64,
    /// The sample standard deviation, with n − 1; `None` for a single value.
    pub deviation: Option<f64>,
    /// Student's interval of the mean, mean ± t(0.975, n − 1) · s / √n, cut to the range of the
    /// values; `None` for a single value and for equal ones: an interval of width 0 would claim
    /// certainty without any observed variation.
    pub interval: Option<Interval>,
}

impl Interval {
    /// Returns the part within a range that must hold the true value. It covers the true value as
    /// often as the whole interval does (Mandelkern, Statistical Science 17, 2002).
    pub fn within(self, (least, most): (f64, f64)) -> Interval {
        Interval { low: self.low.max(least), high: self.high.min(most) }
    }

    /// Returns whether 0 lies in it, ends included.
    pub fn holds_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

impl Summary {
    /// Summarises values that lie in a range, as their mean does; `None` without any.
    pub fn of(values: &[f64], range: (f64, f64)) -> Option<Summary> {
        let mean = mean(values)?;
        let deviation = mean_and_deviation(values).map(|(_, deviation)| deviation);
        let interval = deviation.filter(|_| varies(values)).and_then(|deviation| {
            let half =
                t_quantile(values.len() as f64 - 1.0)? * deviation / (values.len() as f64).sqrt();
            Some(Interval { low: mean - half, high: mean + half }.within(range))
        });
        Some(Summary { count: values.len(), mean, deviation, interval })
    }
}

/// Returns the mean of at least one value.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Returns the mean and the sample standard deviation (n − 1) of at least two values.
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (values.len() as f64 - 1.0)).sqrt()))
}

/// Returns the 0.975 quantile of Student's t, for a 95 % interval.
pub(super) fn t_quantile(freedom: f64) -> Option<f64> {
    Some(StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.975))
}

/// Returns whether values differ by more than the error of subtracting rounded numbers.
pub(super) fn varies(values: &[f64]) -> bool {
    let (least, most) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &v| (least.min(v), most.max(v)));
    most - least > 1e-12 * most.abs().max(least.abs()).max(1.0)
}
