//! McNemar's test over the texts that only one of two models predicts correctly.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Returns the exact two-sided p for the hypothesis that two models are equally often right. The
/// counts are the texts that only the first and only the second predicts correctly (McNemar 1947;
/// exact by the binomial distribution, like statsmodels' `mcnemar(exact=True)`). Without such texts
/// it is 1.
pub fn mcnemar(only_first: u64, only_second: u64) -> f64 {
    let count = only_first + only_second;
    match Binomial::new(0.5, count) {
        Ok(binomial) if count > 0 => (2.0 * binomial.cdf(only_first.min(only_second))).min(1.0),
        _ => 1.0,
    }
}

/// Combines p values of one hypothesis with any dependence, such as those of several seeds on the
/// same texts. Twice their median is a valid p (Rüger 1978; the upper median of an even number).
pub fn twice_the_median(values: &[f64]) -> Option<f64> {
    if let [single] = values {
        return Some(*single);
    }
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    // Rüger: the k-th smallest of m values, times m / k.
    let (count, place) = (values.len(), values.len() / 2 + 1);
    let value = values.get(place - 1)?;
    Some((value * count as f64 / place as f64).min(1.0))
}
