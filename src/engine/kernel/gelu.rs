//! GELU with its bias, and its gradient.

use super::math;
use super::simd::vectorized;

/// Rows per part of both passes.
pub const ROWS: usize = 16;

vectorized! {
/// Computes rows of y = GELU(x + b) and the slope there.
pub fn forward(x: &[f32], bias: &[f32], tanh: bool, y: &mut [f32], slope: &mut [f32]) {
    let n = bias.len();
    let rows = x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(slope.chunks_exact_mut(n));
    for ((x, y), slope) in rows {
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
/// Computes rows of dx = dy·slope and their sum.
pub fn backward(dy: &[f32], slope: &[f32], dx: &mut [f32], sums: &mut [f32]) {
    let n = sums.len();
    sums.fill(0.0);
    let rows = dy.chunks_exact(n).zip(slope.chunks_exact(n)).zip(dx.chunks_exact_mut(n));
    for ((dy, slope), dx) in rows {
        for i in 0..n {
            dx[i] = dy[i] * slope[i];
            sums[i] += dx[i];
        }
    }
}
}
