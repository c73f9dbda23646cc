//! Sums over rows, of squares, and of gathered rows.
#![expect(unsafe_code, reason = "parts of one result are written by several threads at once")]

use std::ops::Range;

use super::parallel::Shared;
use super::simd::vectorized;

/// Rows per part of a sum over rows.
pub const ROWS: usize = 32;
/// Columns per part of a sum over gathered rows.
pub const COLUMNS: usize = 128;
/// Elements per part of a sum of squares.
pub const SQUARES: usize = 65_536;

vectorized! {
/// Computes the sum of rows, in their order.
pub fn rows(x: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for row in x.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}
}

vectorized! {
/// Returns Σx². Squares and sums are in double precision, so that large tensors lose no digits.
pub fn squares(x: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0f64; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let value = f64::from(chunk[lane]);
            lanes[lane] += value * value;
        }
    }
    let rest = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
    lanes.iter().sum::<f64>() + rest
}
}

vectorized! {
/// Computes a range of columns of the gradient of `Gather`: zeros, to which the rows of dy are
/// added in order. Row numbers outside the table are skipped; `Gather` itself has rejected them
/// before.
pub fn scatter(
    rows: &[i64],
    dy: &[f32],
    n: usize,
    columns: Range<usize>,
    height: usize,
    gradient: &Shared<'_, f32>,
) {
    for row in 0..height {
        // SAFETY: parts are disjoint ranges of columns.
        unsafe { gradient.range(row * n + columns.start..row * n + columns.end) }.fill(0.0);
    }
    for (index, &row) in rows.iter().enumerate() {
        // As in `Gather`, a negative number counts from the end.
        let row = if row < 0 { row + height as i64 } else { row };
        let Some(row) = usize::try_from(row).ok().filter(|row| *row < height) else { continue };
        // SAFETY: as above.
        let target = unsafe { gradient.range(row * n + columns.start..row * n + columns.end) };
        let source = &dy[index * n + columns.start..index * n + columns.end];
        for (sum, value) in target.iter_mut().zip(source) {
            *sum += value;
        }
    }
}
}
