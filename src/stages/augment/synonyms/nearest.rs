//! The nearest rows of an embedding matrix.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// The number of words that are compared with the vocabulary at once.
const BLOCK: usize = 32;

/// Returns, for each of `words` in the vocabulary, the `count` other words with the highest cosine.
/// The highest comes first, equal ones in alphabetical order. `matrix` is `[V, H]`; `vocabulary`
/// maps lower case to spelling and row.
pub(super) fn nearest(
    matrix: ArrayView2<'_, f32>,
    vocabulary: &BTreeMap<String, (String, usize)>,
    words: &BTreeSet<String>,
    count: usize,
) -> Vec<(String, Vec<String>)> {
    // Rows beyond the matrix and rows of zeros have no direction.
    let known: Vec<(&str, &str, usize)> = vocabulary
        .iter()
        .map(|(lower, (spelling, row))| (lower.as_str(), spelling.as_str(), *row))
        .filter(|(_, _, row)| {
            *row < matrix.nrows() && matrix.row(*row).iter().any(|value| *value != 0.0)
        })
        .collect();
    let rows: Vec<usize> = known.iter().map(|(_, _, row)| *row).collect();
    let mut unit = matrix.select(Axis(0), &rows); // [V, H]
    for mut row in unit.rows_mut() {
        let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        row.mapv_inplace(|value| (f64::from(value) / norm) as f32);
    }
    let asked: Vec<usize> =
        (0..known.len()).filter(|&index| words.contains(known[index].0)).collect();
    // Blocks do not depend on the number of threads, so neither does any sum.
    asked
        .par_chunks(BLOCK)
        .flat_map_iter(|block| {
            let cosines: Array2<f32> = unit.select(Axis(0), block).dot(&unit.t()); // [block, V]
            let near: Vec<(String, Vec<String>)> = block
                .iter()
                .zip(cosines.rows())
                .map(|(&word, cosines)| {
                    let mut order: Vec<usize> =
                        (0..known.len()).filter(|&other| other != word).collect();
                    let nearer =
                        |a: &usize, b: &usize| cosines[*b].total_cmp(&cosines[*a]).then(a.cmp(b));
                    if order.len() > count {
                        order.select_nth_unstable_by(count, nearer);
                        order.truncate(count);
                    }
                    order.sort_by(nearer);
                    let spellings =
                        order.into_iter().map(|other| known[other].1.to_owned()).collect();
                    (known[word].0.to_owned(), spellings)
                })
                .collect();
            near
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vocabulary(rows: usize) -> BTreeMap<String, (String, usize)> {
        (0..rows).map(|row| (format!("w{row:03}"), (format!("W{row:03}"), row))).collect()
    }

    #[test]
    fn direction_counts_and_length_does_not() {
        let matrix =
            ndarray::arr2(&[[1.0_f32, 0.0], [100.0, 1.0], [0.9, 0.9], [-1.0, 0.0], [0.0, 0.0]]);
        let words = BTreeSet::from(["w000".to_owned(), "w004".to_owned(), "unknown".to_owned()]);
        let near = nearest(matrix.view(), &vocabulary(6), &words, 2);
        assert_eq!(near, [("w000".to_owned(), vec!["W001".to_owned(), "W002".to_owned()])]);
    }

    proptest! {
        #[test]
        fn agrees_with_sorting_by_the_definition(
            values in prop::collection::vec(-1.0..1.0_f32, 40 * 5), count in 1..50_usize,
        ) {
            let Ok(matrix) = Array2::from_shape_vec((40, 5), values) else { return Ok(()) };
            let words: BTreeSet<String> = vocabulary(40).into_keys().collect();
            let near = nearest(matrix.view(), &vocabulary(40), &words, count);
            prop_assert_eq!(near.len(), 40);
            let cosine = |a: usize, b: usize| {
                let dot = |a: usize, b: usize| -> f64 {
                    let pairs = matrix.row(a).into_iter().zip(matrix.row(b));
                    pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
                };
                dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
            };
            for (word, (_, found)) in near.iter().enumerate() {
                prop_assert_eq!(found.len(), count.min(39));
                let others = (0..40).filter(|&other| other != word);
                let mut all: Vec<f64> = others.map(|other| cosine(word, other)).collect();
                all.sort_by(|a, b| b.total_cmp(a));
                for (spelling, expected) in found.iter().zip(all) {
                    let row: usize = spelling[1..].parse().unwrap_or(usize::MAX);
                    prop_assert!(row != word && (cosine(word, row) - expected).abs() < 1e-5);
                }
            }
        }
    }
}
