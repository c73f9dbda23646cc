//! Friedman's test over many recipes, and Nemenyi's critical difference.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::studentized_range;

/// The result of Friedman's test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Friedman {
    /// The mean rank of every recipe; rank 1 is the smallest value, and equal values share their
    /// mean rank.
    pub ranks: Vec<f64>,
    pub statistic: f64,
    /// The p value from the chi-squared distribution with k − 1 degrees of freedom, which is
    /// approximate with few blocks.
    pub p: f64,
}

/// Tests whether any of at least three recipes differs, by their ranks within each block (Friedman
/// 1937, corrected for ties, like SciPy's `friedmanchisquare`). `blocks` holds one row of values
/// per block, here per seed. `None` with too few recipes or blocks, and if all values are the same
/// within every block.
pub fn friedman(blocks: &[Vec<f64>]) -> Option<Friedman> {
    let (count, recipes) = (blocks.len() as f64, blocks.first()?.len());
    if blocks.len() < 2 || recipes < 3 || blocks.iter().any(|block| block.len() != recipes) {
        return None;
    }
    let mut sums = vec![0.0; recipes];
    let mut ties = 0.0;
    for block in blocks {
        let mut order: Vec<usize> = (0..recipes).collect();
        order.sort_by(|&a, &b| block[a].total_cmp(&block[b]));
        let mut place = 0;
        for tied in order.chunk_by(|&a, &b| block[a] == block[b]) {
            let rank = place as f64 + (tied.len() as f64 + 1.0) / 2.0;
            tied.iter().for_each(|&recipe| sums[recipe] += rank);
            ties += (tied.len() as f64).powi(3) - tied.len() as f64;
            place += tied.len();
        }
    }
    let k = recipes as f64;
    let correction = 1.0 - ties / (count * (k.powi(3) - k));
    if correction <= 0.0 {
        return None;
    }
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    let statistic =
        (12.0 / (count * k * (k + 1.0)) * squares - 3.0 * count * (k + 1.0)) / correction;
    let p = ChiSquared::new(k - 1.0).ok()?.sf(statistic.max(0.0));
    Some(Friedman { ranks: sums.into_iter().map(|sum| sum / count).collect(), statistic, p })
}

/// Returns Nemenyi's critical difference of mean ranks at the level 0.05: q / √2 · √(k (k + 1) / (6
/// N)) for k recipes and N blocks (Nemenyi 1963; Demšar 2006, § 3.2.2). q is the quantile of the
/// studentized range with infinite degrees of freedom.
pub fn critical_difference(recipes: usize, blocks: usize) -> f64 {
    let (k, n) = (recipes as f64, blocks as f64);
    studentized_range::quantile_above(0.05, recipes) / 2f64.sqrt()
        * (k * (k + 1.0) / (6.0 * n)).sqrt()
}
