//! A symmetric matrix A as QTQᵀ with T tridiagonal, so that products vᵀ(aA + bI)⁻¹w cost no more
//! than the length of the vectors, for any a and b.

use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, s};

/// A = QTQᵀ (Householder 1958; Golub & Van Loan, algorithm 8.3.1).
pub(in crate::classifiers) struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Beside the diagonal, one shorter.
    beside: Vec<f64>,
    /// The reflections I − βvvᵀ that make up Q: β and v, which begins at row k + 1.
    reflections: Vec<(f64, Array1<f64>)>,
}

/// LDLᵀ = aT + bI.
pub(in crate::classifiers) struct Shifted {
    /// L, beside its diagonal of ones.
    lower: Vec<f64>,
    /// 1/√D
    scale: Vec<f64>,
}

impl Tridiagonal {
    /// Decomposes a symmetric matrix `[n, n]`.
    pub(in crate::classifiers) fn of(mut a: Array2<f64>) -> Tridiagonal {
        let n = a.nrows();
        let mut reflections = Vec::new();
        let mut beside = Vec::new();
        for k in 0..n.saturating_sub(1) {
            let mut v = a.slice(s![k + 1.., k]).to_owned();
            let norm = v.dot(&v).sqrt();
            let alpha = if v[0] > 0.0 { -norm } else { norm };
            v[0] -= alpha;
            let square = v.dot(&v);
            let beta = if square > 0.0 { 2.0 / square } else { 0.0 };
            beside.push(alpha);
            // A ← A − vwᵀ − wvᵀ
            let mut rest = a.slice_mut(s![k + 1.., k + 1..]);
            let product = rest.dot(&v) * beta;
            let half = beta / 2.0 * v.dot(&product);
            let mut w = product;
            w.scaled_add(-half, &v);
            for (row, mut entries) in rest.rows_mut().into_iter().enumerate() {
                entries.scaled_add(-v[row], &w);
                entries.scaled_add(-w[row], &v);
            }
            reflections.push((beta, v));
        }
        Tridiagonal { diagonal: a.diag().to_vec(), beside, reflections }
    }

    /// Replaces v by Qᵀv.
    pub(in crate::classifiers) fn turn(&self, mut vector: ArrayViewMut1<'_, f64>) {
        for (k, (beta, v)) in self.reflections.iter().enumerate() {
            let mut part = vector.slice_mut(s![k + 1..]);
            let inside = beta * part.dot(v);
            part.scaled_add(-inside, v);
        }
    }

    /// Decomposes aT + bI, which is positive definite.
    pub(in crate::classifiers) fn shifted(&self, a: f64, b: f64) -> Shifted {
        let mut lower = Vec::with_capacity(self.beside.len());
        let mut scale = Vec::with_capacity(self.diagonal.len());
        let mut taken = 0.0;
        for (at, &entry) in self.diagonal.iter().enumerate() {
            let pivot = a * entry + b - taken;
            scale.push(1.0 / pivot.sqrt());
            if let Some(&beside) = self.beside.get(at) {
                lower.push(a * beside / pivot);
                taken = (a * beside).powi(2) / pivot;
            }
        }
        Shifted { lower, scale }
    }
}

impl Shifted {
    /// Writes h = D^{−1/2}L⁻¹v, so that vᵀ(aT + bI)⁻¹w is the product of the h of v and of w.
    pub(in crate::classifiers) fn half(
        &self,
        vector: ArrayView1<'_, f64>,
        mut half: ArrayViewMut1<'_, f64>,
    ) {
        let mut before = 0.0;
        for (at, &entry) in vector.iter().enumerate() {
            let carried = if at > 0 { self.lower[at - 1] * before } else { 0.0 };
            before = entry - carried;
            half[at] = before * self.scale[at];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cholesky::Cholesky;
    use super::*;

    #[test]
    fn products_are_those_of_the_inverse() {
        for n in [1, 2, 3, 17] {
            let root =
                Array2::from_shape_fn((n, n), |(i, j)| ((i * 7 + j * 13) % 11) as f64 / 11.0);
            let matrix = root.dot(&root.t());
            let vectors = Array2::from_shape_fn((2, n), |(i, j)| ((i + 3 * j) as f64).cos());
            let tridiagonal = Tridiagonal::of(matrix.clone());
            let shifted = tridiagonal.shifted(0.7, 0.2);
            let mut halves = vectors.clone();
            for mut row in halves.rows_mut() {
                tridiagonal.turn(row.view_mut());
                let turned = row.to_owned();
                shifted.half(turned.view(), row);
            }
            let mut solved = vectors.t().to_owned();
            let whole = matrix * 0.7 + Array2::<f64>::eye(n) * 0.2;
            Cholesky::of(whole).expect("positive definite").solve(&mut solved);
            let difference = halves.dot(&halves.t()) - vectors.dot(&solved);
            assert!(difference.iter().all(|value| value.abs() < 1e-11), "{n}: {difference}");
        }
    }
}
