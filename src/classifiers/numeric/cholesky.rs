//! The Cholesky decomposition, by blocks so that most work is products of matrices.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, s};

/// The size of a block. Below it, rows are combined one by one.
const BLOCK: usize = 32;
/// A pivot below this share of the largest entry of the diagonal is rounding.
const LEAST_PIVOT: f64 = 1e-14;

/// The factor L of A = LLᵀ.
pub(in crate::classifiers) struct Cholesky {
    /// `[n, n]`, of which the lower triangle counts.
    lower: Array2<f64>,
}

impl Cholesky {
    /// Decomposes a symmetric matrix `[n, n]`, of which the lower triangle is read. `None` if it is
    /// not positive definite beyond rounding.
    pub(in crate::classifiers) fn of(mut a: Array2<f64>) -> Option<Cholesky> {
        let n = a.nrows();
        let least = a.diag().iter().copied().fold(0.0, f64::max) * LEAST_PIVOT;
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let (left, mut right) = a.view_mut().split_at(Axis(1), start);
            general_mat_mul(
                -1.0,
                &left.slice(s![start.., ..]),
                &left.slice(s![start..end, ..]).t(),
                1.0,
                &mut right.slice_mut(s![start.., ..end - start]),
            );
            for column in start..end {
                let (above, mut below) = a.view_mut().split_at(Axis(0), column + 1);
                let known = above.slice(s![column, start..column]);
                let square = above[(column, column)] - known.dot(&known);
                if !(square > least && square.is_finite()) {
                    return None;
                }
                let pivot = square.sqrt();
                for mut row in below.rows_mut() {
                    let inside = row.slice(s![start..column]).dot(&known);
                    row[column] = (row[column] - inside) / pivot;
                }
                a[(column, column)] = pivot;
            }
        }
        Some(Cholesky { lower: a })
    }

    /// Replaces B `[n, m]` by A⁻¹B.
    pub(in crate::classifiers) fn solve(&self, b: &mut Array2<f64>) {
        let n = self.lower.nrows();
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let (done, mut rest) = b.view_mut().split_at(Axis(0), start);
            let left = self.lower.slice(s![start..end, ..start]);
            general_mat_mul(-1.0, &left, &done, 1.0, &mut rest.slice_mut(s![..end - start, ..]));
            for row in start..end {
                let (done, mut rest) = b.view_mut().split_at(Axis(0), row);
                let mut target = rest.row_mut(0);
                for at in start..row {
                    target.scaled_add(-self.lower[(row, at)], &done.row(at));
                }
                target /= self.lower[(row, row)];
            }
        }
        for start in (0..n).step_by(BLOCK).rev() {
            let end = (start + BLOCK).min(n);
            let (mut rest, done) = b.view_mut().split_at(Axis(0), end);
            let below = self.lower.slice(s![end.., start..end]);
            general_mat_mul(-1.0, &below.t(), &done, 1.0, &mut rest.slice_mut(s![start.., ..]));
            for row in (start..end).rev() {
                let (mut rest, done) = b.view_mut().split_at(Axis(0), row + 1);
                let mut target = rest.row_mut(row);
                for at in row + 1..end {
                    target.scaled_add(-self.lower[(at, row)], &done.row(at - row - 1));
                }
                target /= self.lower[(row, row)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_solve() {
        for n in [1, 2, 31, 32, 33, 70] {
            let root =
                Array2::from_shape_fn((n, n), |(i, j)| ((i * 7 + j * 13) % 11) as f64 / 11.0);
            let a = root.dot(&root.t()) + Array2::<f64>::eye(n);
            let b = Array2::from_shape_fn((n, 3), |(i, j)| (i + 2 * j) as f64 / n as f64);
            let mut x = b.clone();
            Cholesky::of(a.clone()).expect("positive definite").solve(&mut x);
            let error = (a.dot(&x) - b).iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            assert!(error < 1e-11, "{n}: {error}");
        }
    }

    #[test]
    fn a_singular_matrix_has_no_factor() {
        assert!(Cholesky::of(Array2::ones((3, 3))).is_none());
        assert!(Cholesky::of(Array2::zeros((2, 2))).is_none());
        assert!(Cholesky::of(Array2::from_elem((2, 2), f64::NAN)).is_none());
    }
}
