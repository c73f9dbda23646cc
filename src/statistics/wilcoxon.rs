//! Wilcoxon's signed-rank test.

use statrs::distribution::{ContinuousCDF, Normal};

/// Up to this number of nonzero differences, the exact distribution is counted.
const EXACT: usize = 25;

/// Returns the two-sided p of the signed-rank test (Wilcoxon 1945) for paired differences.
/// Differences of 0 are left out and equal sizes share their mean rank, as in SciPy's `wilcoxon` by
/// default. Without nonzero differences it is 1.
///
/// Up to 25 differences, p is exact for the observed ranks, including ties: every choice of signs
/// is counted (SciPy's `PermutationMethod` over all of them). Above, it is the normal approximation
/// with corrections for ties and continuity (`method="asymptotic", correction=True`).
pub fn wilcoxon(differences: &[f64]) -> f64 {
    let mut sizes: Vec<(f64, bool)> = differences
        .iter()
        // Rounding removes the errors of subtracting rounded numbers, so that equal sizes stay
        // equal.
        .map(|&difference| ((difference.abs() * 1e12).round(), difference > 0.0))
        .filter(|(size, _)| *size > 0.0)
        .collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    if sizes.is_empty() {
        return 1.0;
    }
    // Twice the ranks, which are whole numbers even with ties.
    let (mut ranks, mut ties) = (Vec::new(), 0.0);
    for tied in sizes.chunk_by(|a, b| a.0 == b.0) {
        ties += (tied.len() as f64).powi(3) - tied.len() as f64;
        let rank = 2 * ranks.len() + tied.len() + 1;
        ranks.extend(std::iter::repeat_n(rank, tied.len()));
    }
    let positive: usize =
        sizes.iter().zip(&ranks).filter(|((_, sign), _)| *sign).map(|(_, rank)| rank).sum();
    if sizes.len() <= EXACT {
        exact(&ranks, positive)
    } else {
        approximate(sizes.len(), positive, ties)
    }
}

/// Counts the choices of signs by the sum of the ranks with positive sign.
fn exact(ranks: &[usize], positive: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    let mut ways = vec![0u64; total + 1];
    ways[0] = 1;
    for &rank in ranks {
        for sum in (rank..=total).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = (1u64 << ranks.len()) as f64;
    let below: u64 = ways[..=positive].iter().sum();
    let above: u64 = ways[positive..].iter().sum();
    (2.0 * below.min(above) as f64 / all).min(1.0)
}

fn approximate(count: usize, positive: usize, ties: f64) -> f64 {
    let count = count as f64;
    let mean = count * (count + 1.0) / 4.0;
    let variance = (count * (count + 1.0) * (2.0 * count + 1.0) - ties / 2.0) / 24.0;
    let distance = ((positive as f64 / 2.0 - mean).abs() - 0.5).max(0.0);
    match Normal::new(0.0, 1.0) {
        Ok(normal) => (2.0 * normal.sf(distance / variance.sqrt())).min(1.0),
        Err(_) => 1.0,
    }
}
