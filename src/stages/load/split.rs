//! Stratified splits and draws.

use rand::seq::SliceRandom;

use crate::base::seed::stream;

/// Returns the number of rows of each class in a split of `total` rows. Classes keep their shares,
/// rounded by largest remainder (the first of equals), and give at most their `free` rows.
pub(super) fn quotas(sizes: &[usize], free: &[usize], total: usize) -> Vec<usize> {
    let rows: usize = sizes.iter().sum::<usize>().max(1);
    let mut quotas: Vec<usize> =
        sizes.iter().zip(free).map(|(&size, &free)| (size * total / rows).min(free)).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(sizes[class] * total % rows));
    let mut missing = total.saturating_sub(quotas.iter().sum());
    // A second round is needed only if some classes have no free rows left.
    while missing > 0 {
        let mut given = false;
        for &class in &order {
            if missing > 0 && quotas[class] < free[class] {
                quotas[class] += 1;
                missing -= 1;
                given = true;
            }
        }
        if !given {
            break;
        }
    }
    quotas
}

/// Returns the rows of a class in a random order that depends only on the seed, the purpose and the
/// name of the class.
pub(super) fn shuffled(seed: u64, purpose: &str, label: &str, rows: &[usize]) -> Vec<usize> {
    let mut rows = rows.to_vec();
    rows.shuffle(&mut stream(seed, &["load", purpose, label], 0));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_class_gets_its_share() {
        assert_eq!(quotas(&[50, 30, 20], &[49, 29, 19], 10), [5, 3, 2]);
        // 3.33 each: the one row left goes to the first.
        assert_eq!(quotas(&[10, 10, 10], &[9, 9, 9], 10), [4, 3, 3]);
        // The class with one row keeps it for train, and the other gives one more instead.
        assert_eq!(quotas(&[1, 9], &[0, 8], 5), [0, 5]);
        assert_eq!(quotas(&[2, 2], &[1, 1], 4), [1, 1]);
    }

    proptest! {
        #[test]
        fn are_exact_where_there_is_enough(
            sizes in prop::collection::vec(2..60_usize, 2..6), share in 0.0..0.9_f64,
        ) {
            let free: Vec<usize> = sizes.iter().map(|size| size - 1).collect();
            let total = (sizes.iter().sum::<usize>() as f64 * share).round() as usize;
            let quotas = quotas(&sizes, &free, total);
            prop_assert!(quotas.iter().zip(&free).all(|(quota, free)| quota <= free));
            prop_assert_eq!(quotas.iter().sum::<usize>(), total.min(free.iter().sum()));
        }

        #[test]
        fn a_smaller_draw_is_part_of_a_larger_one(seed: u64, size in 1..50_usize) {
            let rows: Vec<usize> = (0..size).collect();
            let order = shuffled(seed, "shots", "a", &rows);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, rows.clone());
            prop_assert_eq!(order, shuffled(seed, "shots", "a", &rows));
        }
    }
}
