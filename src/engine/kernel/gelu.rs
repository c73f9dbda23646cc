//! GELU with its bias, and its gradient.

use super::math;
use super::parallel::{Shared, range};
use super::simd::vectorized;

/// Rows per part.
pub const ROWS: usize = 16;
/// Columns per part of a sum over rows.
pub const COLUMNS: usize = 128;

vectorized! {
/// Computes rows of y = GELU(x + b) and the slope there.
pub fn forward(x: &[f32], bias: &[f32], tanh: bool, y: &mut [f32], slope: &mut [f32]) {
    let n = bias.len();
    for ((x, y), slope) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(slope.chunks_exact_mut(n)) {
        if tanh {
            for i in 0..n {
                (y[i], slope[i]) = math::gelu_tanh(x[i] + bias[i]);
            }
        } else {
            for i in 0..n {
                (y[i], slope[i]) = math::gelu(x[i] + bias[i]);
            }
        }
    }
}
}

vectorized! {
/// Computes a block of columns of dx = dy·slope and of db = Σ dx over the rows, in the rows' order.
pub fn backward(dy: &[f32], slope: &[f32], n: usize, part: usize, dx: &Shared<'_, f32>, db: &Shared<'_, f32>) {
    let columns = range(part, COLUMNS, n);
    // SAFETY: parts are disjoint ranges of columns.
    let db = unsafe { db.range(columns.clone()) };
    db.fill(0.0);
    let rows = dy.len() / n;
    for row in 0..rows {
        let here = row * n + columns.start..row * n + columns.end;
        // SAFETY: as above.
        let dx = unsafe { dx.range(here.clone()) };
        let (dy, slope) = (&dy[here.clone()], &slope[here]);
        for i in 0..db.len() {
            let value = dy[i] * slope[i];
            dx[i] = value;
            db[i] += value;
        }
    }
}
}
