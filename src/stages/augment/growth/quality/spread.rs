//! The centres of classes and the spread of their texts: means, a shrunk covariance, distances, and
//! leave-one-out distances.
//!
//! Dimensions: `n` texts, `d` numbers each, `K` classes. The scatter matrix SS of the residuals
//! (each text minus the mean of its class) is stored by its eigenvectors. In their basis Σ =
//! (1−λ)·SS/n + λ·m·I is diagonal for any shrinkage λ. Leaving one text out subtracts a matrix of
//! rank one from SS (Sherman & Morrison 1950). One decomposition therefore serves all n
//! leave-one-out distances.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView1};

use crate::classifiers::lda::LedoitWolf;

/// Statistics of the real texts.
pub(in crate::stages::augment) struct Spread {
    /// `[K, d]`, and `[K, r]` in the eigenvectors' basis.
    means: Array2<f64>,
    projected_means: Array2<f64>,
    /// The texts of each class.
    counts: Vec<usize>,
    labels: Vec<usize>,
    /// `[n, d]`
    residuals: Array2<f64>,
    /// `[d, r]`, the eigenvectors of SS whose eigenvalues are not 0.
    basis: Array2<f64>,
    /// `[r]`
    values: Array1<f64>,
    shrinkage: LedoitWolf,
}

impl Spread {
    /// Computes the statistics of embeddings `[n, d]` with their classes, `classes` of them.
    pub(in crate::stages::augment) fn of(
        embeddings: &Array2<f64>,
        labels: &[usize],
        classes: usize,
    ) -> Spread {
        let (n, d) = embeddings.dim();
        let mut counts = vec![0; classes];
        let mut means = Array2::zeros((classes, d));
        for (row, &label) in embeddings.rows().into_iter().zip(labels) {
            counts[label] += 1;
            means.row_mut(label).scaled_add(1.0, &row);
        }
        for (mut mean, &count) in means.rows_mut().into_iter().zip(&counts) {
            mean.mapv_inplace(|value| value / count.max(1) as f64);
        }
        let mut residuals = embeddings.clone();
        for (mut row, &label) in residuals.rows_mut().into_iter().zip(labels) {
            row -= &means.row(label);
        }
        let (values, basis) = decompose(&residuals);
        let norms = residuals.rows().into_iter().map(|row| row.dot(&row));
        let fourth = norms.map(|square| square * square).sum();
        let squares = values.mapv(|value| value * value).sum();
        let shrinkage = LedoitWolf::of(n as f64, d as f64, values.sum(), squares, fourth);
        let projected_means = means.dot(&basis);
        Spread {
            means,
            projected_means,
            counts,
            labels: labels.to_vec(),
            residuals,
            basis,
            values,
            shrinkage,
        }
    }

    /// Returns whether any text differs from the mean of its class.
    pub(in crate::stages::augment) fn is_flat(&self) -> bool {
        self.shrinkage.mean <= f64::EPSILON
    }

    /// Returns whether any class has two texts.
    pub(in crate::stages::augment) fn has_pairs(&self) -> bool {
        self.counts.iter().any(|count| *count > 1)
    }

    /// Returns the Euclidean distances to the means of all classes, each of which has texts.
    pub(in crate::stages::augment) fn euclidean(&self, embedding: ArrayView1<'_, f64>) -> Vec<f64> {
        self.squares(embedding).into_iter().map(f64::sqrt).collect()
    }

    /// Returns the Mahalanobis distances to the means of all classes, each of which has texts.
    pub(in crate::stages::augment) fn mahalanobis(
        &self,
        embedding: ArrayView1<'_, f64>,
    ) -> Vec<f64> {
        let projected = self.basis.t().dot(&embedding);
        let to = |(class, square): (usize, f64)| {
            let inside = &projected - &self.projected_means.row(class);
            self.quadratic(&inside, square, self.shrinkage).sqrt()
        };
        self.squares(embedding).into_iter().enumerate().map(to).collect()
    }

    /// Returns the squared Euclidean distances to the means of all classes.
    fn squares(&self, embedding: ArrayView1<'_, f64>) -> Vec<f64> {
        let to = |mean: ArrayView1<'_, f64>| {
            let difference = &embedding - &mean;
            difference.dot(&difference)
        };
        self.means.rows().into_iter().map(to).collect()
    }

    /// Returns xᵀΣ⁻¹x from x in the eigenvectors' basis and ‖x‖².
    fn quadratic(&self, projected: &Array1<f64>, square: f64, shrinkage: LedoitWolf) -> f64 {
        let inside: f64 = projected
            .iter()
            .zip(&self.values)
            .map(|(p, &value)| p * p / shrinkage.variance(value))
            .sum();
        if self.values.len() == self.means.ncols() {
            return inside;
        }
        // Directions without residuals have the variance λ·m.
        inside + (square - projected.dot(projected)).max(0.0) / shrinkage.variance(0.0)
    }

    /// Returns for each text its distance to the mean of the other texts of its class; `None` if
    /// there are none.
    pub(in crate::stages::augment) fn left_out_euclidean(&self) -> Vec<Option<f64>> {
        self.left_out(|_, residual, factor| factor * residual.dot(residual).sqrt())
    }

    /// Returns for each text its Mahalanobis distance by the means and the covariance of all other
    /// texts; `None` if its class has no other text.
    pub(in crate::stages::augment) fn left_out_mahalanobis(&self) -> Vec<Option<f64>> {
        let d = self.residuals.ncols() as f64;
        let n = self.labels.len() as f64 - 1.0;
        let squared: Vec<f64> =
            self.residuals.rows().into_iter().map(|row| row.dot(&row)).collect();
        let fourth: f64 = squared.iter().map(|square| square * square).sum();
        let trace = self.values.sum();
        let squares = self.values.mapv(|value| value * value).sum();
        self.left_out(|index, residual, factor| {
            let square = squared[index];
            let projected = self.basis.t().dot(residual);
            // rᵀ·SS·r
            let stretched: f64 =
                projected.iter().zip(&self.values).map(|(p, value)| p * p * value).sum();
            // Without the text, the mean of its class moves, and so do the residuals of the class.
            let moved = 1.0 / (self.counts[self.labels[index]] as f64 - 1.0);
            let mut fourth = fourth - square * square;
            for (other, &label) in self.labels.iter().enumerate() {
                if label == self.labels[index] && other != index {
                    let cross = self.residuals.row(other).dot(residual);
                    let after = squared[other] + 2.0 * moved * cross + moved * moved * square;
                    fourth += after * after - squared[other] * squared[other];
                }
            }
            let squares = squares - 2.0 * factor * stretched + (factor * square).powi(2);
            let shrinkage = LedoitWolf::of(n, d, trace - factor * square, squares, fourth);
            let whole = self.quadratic(&projected, square, shrinkage);
            let taken = (1.0 - shrinkage.amount) * factor / n;
            (factor * factor * whole / (1.0 - taken * whole)).sqrt()
        })
    }

    /// Calls `distance` for each text with its residual r and the factor n_c/(n_c − 1), which turns
    /// r into the offset from the mean of the others.
    fn left_out(
        &self,
        distance: impl Fn(usize, &Array1<f64>, f64) -> f64 + Sync,
    ) -> Vec<Option<f64>> {
        use rayon::prelude::*;
        let one = |index: usize| {
            let count = self.counts[self.labels[index]] as f64;
            let residual = self.residuals.row(index).to_owned();
            let distance = (count > 1.0).then(|| distance(index, &residual, count / (count - 1.0)));
            // Without the text no other residual may be left, and then there is no measure.
            distance.filter(|distance| distance.is_finite())
        };
        (0..self.labels.len()).into_par_iter().map(one).collect()
    }
}

/// Returns the nonzero eigenvalues of RᵀR, and their vectors as columns `[d, r]`; computed from RRᵀ
/// if that is the smaller matrix.
fn decompose(residuals: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let (n, d) = residuals.dim();
    let small = n < d;
    let product = if small { residuals.dot(&residuals.t()) } else { residuals.t().dot(residuals) };
    let size = product.nrows();
    let eigen = SymmetricEigen::new(DMatrix::from_iterator(size, size, product.iter().copied()));
    let largest = eigen.eigenvalues.iter().copied().fold(0.0, f64::max);
    let kept: Vec<usize> =
        (0..size).filter(|&at| eigen.eigenvalues[at] > largest * 1e-13).collect();
    let values: Array1<f64> = kept.iter().map(|&at| eigen.eigenvalues[at]).collect();
    let vectors = Array2::from_shape_fn((size, kept.len()), |(row, column)| {
        eigen.eigenvectors[(row, kept[column])]
    });
    if !small {
        return (values, vectors);
    }
    let mut basis = residuals.t().dot(&vectors); // [d, r]
    for (mut column, value) in basis.columns_mut().into_iter().zip(&values) {
        column.mapv_inplace(|entry| entry / value.sqrt());
    }
    (values, basis)
}

/// Returns a quantile of values with linear interpolation between neighbours (NumPy's default).
pub(in crate::stages::augment) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (low, high) = (values[place.floor() as usize], values[(place.ceil() as usize).min(last)]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Results of scikit-learn, SciPy and NumPy, recorded by tests/record_augmentation.py.
    const RECORDED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/quality.json"));

    fn numbers(value: &Value) -> Vec<Option<f64>> {
        value.as_array().expect("a list").iter().map(Value::as_f64).collect()
    }

    fn matrix(value: &Value) -> Array2<f64> {
        let rows: Vec<Vec<f64>> = value
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| numbers(row).into_iter().flatten().collect())
            .collect();
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).expect("a matrix")
    }

    fn assert_close(found: f64, expected: f64, what: &str) {
        assert!(
            (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
            "{what}: expected {expected}, found {found}"
        );
    }

    #[test]
    fn shrinkage_and_distances_are_those_of_scikit_learn_and_scipy() {
        let recorded: Value = serde_json::from_str(RECORDED).expect("recorded figures");
        let cases = recorded["cases"].as_array().expect("cases");
        assert!(cases.len() >= 7);
        for case in cases {
            let name = case["name"].as_str().expect("a name");
            let labels: Vec<usize> = numbers(&case["labels"])
                .into_iter()
                .flatten()
                .map(|label| label as usize)
                .collect();
            let classes = labels.iter().max().expect("labels") + 1;
            let embeddings = matrix(&case["embeddings"]);
            let spread = Spread::of(&embeddings, &labels, classes);
            let shrinkage = case["shrinkage"].as_f64().expect("shrinkage");
            assert!(
                (spread.shrinkage.amount - shrinkage).abs() < 1e-8,
                "{name}: {} {shrinkage}",
                spread.shrinkage.amount
            );

            let covariance = matrix(&case["covariance"]);
            let d = embeddings.ncols();
            let scatter =
                spread.basis.dot(&Array2::from_diag(&spread.values)).dot(&spread.basis.t());
            for ((row, column), expected) in covariance.indexed_iter() {
                let mut found =
                    (1.0 - spread.shrinkage.amount) * scatter[(row, column)] / labels.len() as f64;
                found += if row == column {
                    spread.shrinkage.amount * spread.shrinkage.mean
                } else {
                    0.0
                };
                assert!((found - expected).abs() < 1e-8, "{name}, covariance of {d}");
            }
            let candidates = matrix(&case["candidates"]);
            let (euclidean, mahalanobis) =
                (matrix(&case["euclidean"]), matrix(&case["mahalanobis"]));
            for (row, candidate) in candidates.rows().into_iter().enumerate() {
                for class in 0..classes {
                    assert_close(spread.euclidean(candidate)[class], euclidean[(row, class)], name);
                    assert_close(
                        spread.mahalanobis(candidate)[class],
                        mahalanobis[(row, class)],
                        name,
                    );
                }
            }
            for (key, list, found) in [
                ("euclidean", &case["loo_euclidean"], spread.left_out_euclidean()),
                ("mahalanobis", &case["loo_mahalanobis"], spread.left_out_mahalanobis()),
            ] {
                for (found, expected) in found.iter().zip(numbers(list)) {
                    assert_eq!(found.is_some(), expected.is_some(), "{name}");
                    assert_close(
                        found.unwrap_or(0.0),
                        expected.unwrap_or(0.0),
                        &format!("{name}, left out, {key}"),
                    );
                }
                let known: Vec<f64> = found.into_iter().flatten().collect();
                for share in ["0.9", "0.5"] {
                    let expected = case["quantiles"][key][share].as_f64().expect("a quantile");
                    assert_close(
                        quantile(known.clone(), share.parse().expect("a share")),
                        expected,
                        &format!("{name}, quantile {share}, {key}"),
                    );
                }
            }
        }
    }

    #[test]
    fn where_one_pair_alone_differs_nothing_can_be_measured() {
        let embeddings = ndarray::arr2(&[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
        let spread = Spread::of(&embeddings, &[0, 0, 1], 2);
        assert_eq!(spread.left_out_mahalanobis(), [None, None, None]);
        assert!(spread.left_out_euclidean()[..2].iter().all(Option::is_some));
    }

    #[test]
    fn texts_that_do_not_differ_are_flat() {
        let same = Array2::from_elem((4, 3), 0.5);
        assert!(Spread::of(&same, &[0, 0, 1, 1], 2).is_flat());
        assert_eq!(quantile(vec![3.0], 0.95), 3.0);
    }
}
