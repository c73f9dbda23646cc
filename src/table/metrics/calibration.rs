//! Expected and maximum calibration error.

use super::row::Row;

/// The number of bins of equal width, as Guo et al. (1706.04599) use.
const BINS: usize = 15;

/// Returns (ECE, MCE) over 15 bins (lo, hi] of the predicted class's probability (Guo et al. 2017, eq. 3 and 5): the mean,
/// weighted by rows, and the maximum over non-empty bins of |accuracy − mean confidence|.
pub fn calibration(rows: &[Row<'_>]) -> (f64, f64) {
    let mut bins = [(0_u64, 0_u64, 0.0_f64); BINS];
    for row in rows {
        let confidence = f64::from(row.probabilities[row.prediction]);
        let bin = (0..BINS - 1).find(|&bin| confidence <= (bin + 1) as f64 / BINS as f64).unwrap_or(BINS - 1);
        let (count, right, sum) = &mut bins[bin];
        *count += 1;
        *right += u64::from(row.label == row.prediction);
        *sum += confidence;
    }
    let mut expected = 0.0;
    let mut largest = 0.0_f64;
    for (count, right, sum) in bins.into_iter().filter(|(count, _, _)| *count > 0) {
        let gap = (right as f64 - sum).abs();
        expected += gap;
        largest = largest.max(gap / count as f64);
    }
    (expected / rows.len().max(1) as f64, largest)
}
