//! LayerNorm of a sum of a residual and dropout of x + b, and its gradient.

use super::random::MaskKey;
use super::simd::{sum, vectorized};

/// Rows per part of both passes.
pub const ROWS: usize = 32;

/// The constant inputs of a forward pass over rows.
pub struct Forward<'a> {
    pub bias: Option<&'a [f32]>,
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub epsilon: f32,
    pub key: Option<MaskKey>,
    /// The number of the first row, for the dropout mask.
    pub first_row: usize,
}

vectorized! {
/// Computes rows of y = LayerNorm(residual + dropout(x + b)), x̂ and 1/σ.
pub fn forward(
    args: &Forward<'_>,
    x: &[f32],
    residual: Option<&[f32]>,
    y: &mut [f32],
    normed: &mut [f32],
    inverse: &mut [f32],
) {
    let n = args.gamma.len();
    for row in 0..inverse.len() {
        let here = row * n..(row + 1) * n;
        let (x, y, z) = (&x[here.clone()], &mut y[here.clone()], &mut normed[here.clone()]);
        z.copy_from_slice(x);
        if let Some(bias) = args.bias {
            for i in 0..n {
                z[i] += bias[i];
            }
        }
        if let Some(key) = args.key {
            let first = ((args.first_row + row) * n) as u32;
            for i in 0..n {
                z[i] *= key.factor(first.wrapping_add(i as u32));
            }
        }
        if let Some(residual) = residual {
            let residual = &residual[here];
            for i in 0..n {
                z[i] += residual[i];
            }
        }
        let mean = sum([&*z]) / n as f32;
        for value in z.iter_mut() {
            *value -= mean;
        }
        let variance = sum([&*z, &*z]) / n as f32;
        let scale = 1.0 / (variance + args.epsilon).sqrt();
        inverse[row] = scale;
        for i in 0..n {
            z[i] *= scale;
            y[i] = z[i] * args.gamma[i] + args.beta[i];
        }
    }
}
}

vectorized! {
/// Computes rows of the gradients of x and of the residual, and this part's sums for the gradients
/// of b, γ and β (`[3, H]`).
#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
pub fn backward(
    dy: &[f32],
    normed: &[f32],
    inverse: &[f32],
    gamma: &[f32],
    key: Option<MaskKey>,
    first_row: usize,
    dx: &mut [f32],
    d_residual: &mut [f32],
    sums: &mut [f32],
) {
    let n = gamma.len();
    sums.fill(0.0);
    let (d_bias, rest) = sums.split_at_mut(n);
    let (d_gamma, d_beta) = rest.split_at_mut(n);
    for row in 0..inverse.len() {
        let here = row * n..(row + 1) * n;
        let (dy, z) = (&dy[here.clone()], &normed[here.clone()]);
        let (dx, ds) = (&mut dx[here.clone()], &mut d_residual[here]);
        // With d = dy·γ: ds = (d − mean d − x̂·mean(d·x̂))/σ
        let mean = sum([dy, gamma]) / n as f32;
        let along = sum([dy, gamma, z]) / n as f32;
        let scale = inverse[row];
        for i in 0..n {
            ds[i] = (dy[i] * gamma[i] - mean - z[i] * along) * scale;
            d_gamma[i] += dy[i] * z[i];
            d_beta[i] += dy[i];
        }
        match key {
            Some(key) => {
                let first = ((first_row + row) * n) as u32;
                for i in 0..n {
                    dx[i] = ds[i] * key.factor(first.wrapping_add(i as u32));
                    d_bias[i] += dx[i];
                }
            }
            None => {
                dx.copy_from_slice(ds);
                for i in 0..n {
                    d_bias[i] += ds[i];
                }
            }
        }
    }
}
}
