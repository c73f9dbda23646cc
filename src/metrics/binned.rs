//! Rows binned by confidence.

use super::row::Row;

/// The number of bins of equal width, as in Guo et al. (1706.04599).
const BINS: usize = 15;

/// Rows with their bins, which are computed once for any number of weights.
#[derive(Clone, Debug)]
pub struct Binned(Vec<(usize, bool, f64)>);

impl Binned {
    /// Computes the bins.
    pub fn of(rows: &[Row<'_>]) -> Binned {
        let binned = |row: &Row<'_>| {
            let confidence = f64::from(row.probabilities[row.prediction]);
            let bin = (0..BINS - 1)
                .find(|&bin| confidence <= (bin + 1) as f64 / BINS as f64)
                .unwrap_or(BINS - 1);
            (bin, row.label == row.prediction, confidence)
        };
        Binned(rows.iter().map(binned).collect())
    }

    /// Returns (ECE, MCE) with each row counted `weight` times.
    pub fn errors(&self, weight: impl Fn(usize) -> u64) -> (f64, f64) {
        let mut bins = [(0_u64, 0_u64, 0.0_f64); BINS];
        for (row, &(bin, is_right, confidence)) in self.0.iter().enumerate() {
            let times = weight(row);
            let (count, right, sum) = &mut bins[bin];
            *count += times;
            *right += times * u64::from(is_right);
            *sum += times as f64 * confidence;
        }
        let (mut expected, mut largest, mut total) = (0.0, 0.0_f64, 0);
        for (count, right, sum) in bins.into_iter().filter(|(count, _, _)| *count > 0) {
            let gap = (right as f64 - sum).abs();
            expected += gap;
            largest = largest.max(gap / count as f64);
            total += count;
        }
        (expected / total.max(1) as f64, largest)
    }
}
