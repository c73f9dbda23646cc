//! Points in an orthonormal basis of their span.
//!
//! With fewer points than numbers, a penalised fit and all class means lie in the span of the
//! points. Fits then work with `r ≤ N` coordinates in place of `E`, exactly.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

/// How many points are made orthogonal to the earlier ones together.
const BLOCK: usize = 16;
/// A point whose part outside the others' span is below this share of it lies in the span.
const LEAST_NEW: f64 = 1e-12;
/// Below this share, the part outside has lost digits and is made orthogonal once more.
const MUCH_LOST: f64 = 1e-2;

/// Points in coordinates of their span.
pub(in crate::classifiers) struct Span {
    /// `[N, r]`
    pub(in crate::classifiers) coordinates: Array2<f64>,
    /// `[r, E]` with orthonormal rows; `None` if the coordinates are the points' own numbers.
    basis: Option<Array2<f64>>,
}

impl Span {
    /// Returns the points `[N, E]` in their span, or as they are if that is hardly smaller, and so
    /// not worth its price.
    pub(in crate::classifiers) fn of(x: ArrayView2<'_, f64>) -> Span {
        if x.nrows() * 4 > x.ncols() * 3 {
            return Span { coordinates: x.to_owned(), basis: None };
        }
        let basis = orthonormal(x);
        Span { coordinates: x.dot(&basis.t()), basis: Some(basis) }
    }

    /// Returns vectors given by coordinates `[m, r]` as vectors of the points' space `[m, E]`.
    pub(in crate::classifiers) fn lift(&self, coordinates: Array2<f64>) -> Array2<f64> {
        match &self.basis {
            Some(basis) => coordinates.dot(basis),
            None => coordinates,
        }
    }
}

/// Returns an orthonormal basis `[r, E]` of the span of rows (Gram and Schmidt, each block twice).
fn orthonormal(x: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut basis = Array2::zeros(x.dim());
    let mut rank = 0;
    for block in x.axis_chunks_iter(Axis(0), BLOCK) {
        let norms: Vec<f64> = block.rows().into_iter().map(|row| row.dot(&row).sqrt()).collect();
        let mut left = block.to_owned();
        let first = rank;
        for _ in 0..2 {
            let known = basis.slice(s![..first, ..]);
            let inside = left.dot(&known.t());
            left -= &inside.dot(&known);
        }
        for (row, norm) in left.rows().into_iter().zip(norms) {
            let mut row = row.to_owned();
            for _ in 0..2 {
                take_out(&mut row, basis.slice(s![first..rank, ..]));
            }
            if row.dot(&row).sqrt() < norm * MUCH_LOST {
                take_out(&mut row, basis.slice(s![..rank, ..]));
            }
            let length = row.dot(&row).sqrt();
            if length > norm * LEAST_NEW {
                basis.row_mut(rank).assign(&(row / length));
                rank += 1;
            }
        }
    }
    basis.slice(s![..rank, ..]).to_owned()
}

/// Takes the part out of a vector that lies in the span of orthonormal rows.
fn take_out(vector: &mut Array1<f64>, known: ArrayView2<'_, f64>) {
    let inside = known.dot(vector);
    *vector -= &known.t().dot(&inside);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_where_they_were() {
        // The last rows are nearly, or fully, combinations of the first.
        let mut x = Array2::from_shape_fn((40, 60), |(i, j)| {
            ((i * i * 31 + j * j * 17 + i * j * 7) as f64).sin()
        });
        let sum = &x.row(0) + &x.row(20);
        x.row_mut(39).assign(&sum);
        let mut near = x.row(3).to_owned();
        near[5] += 1e-9;
        x.row_mut(38).assign(&near);
        let span = Span::of(x.view());
        assert_eq!(span.coordinates.dim(), (40, 39));
        let basis = span.basis.as_ref().expect("a basis");
        let most = |values: Array2<f64>| values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(most(basis.dot(&basis.t()) - Array2::<f64>::eye(39)) < 1e-14);
        assert!(most(span.lift(span.coordinates.clone()) - &x) < 1e-13);
    }
}
