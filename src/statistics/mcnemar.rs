//! McNemar's test over the texts that only one of two models gets right.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Returns the exact two-sided p that two models are equally often right, from the numbers of texts
/// that only the one and only the other gets right (McNemar 1947; exact by the binomial
/// distribution, as statsmodels' `mcnemar(exact=True)`). Without such texts it is 1.
pub fn mcnemar(only_first: u64, only_second: u64) -> f64 {
    let count = only_first + only_second;
    match Binomial::new(0.5, count) {
        Ok(binomial) if count > 0 => (2.0 * binomial.cdf(only_first.min(only_second))).min(1.0),
        _ => 1.0,
    }
}

/// Combines p values of one hypothesis that depend on each other in whatever way, as those of
/// several seeds on the same texts do: twice their median is a valid p (Rüger 1978; of an even
/// number the upper median).
pub fn twice_the_median(values: &[f64]) -> Option<f64> {
    if let [single] = values {
        return Some(*single);
    }
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    // Rüger: of m values, the k-th smallest times m / k.
    let (count, place) = (values.len(), values.len() / 2 + 1);
    let value = values.get(place - 1)?;
    Some((value * count as f64 / place as f64).min(1.0))
}
