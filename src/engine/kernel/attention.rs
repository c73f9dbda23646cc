//! Multi-head attention of one head of one text, and its gradient. The products are small, so they run here, on strided rows, and
//! nothing is transposed or copied in memory but one head's keys or values.
#![expect(unsafe_code, reason = "bounds checks in the innermost loop cost as much as its work")]

use super::math::exp;
use super::parallel::{Shared, with_scratch};
use super::random::MaskKey;
use super::simd::{max, sum, vectorized};

/// The sizes of one attention.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// H, the width of a row.
    pub hidden: usize,
    pub heads: usize,
    /// L, the tokens of a text.
    pub length: usize,
}

impl Sizes {
    /// The width of one head.
    pub fn width(self) -> usize {
        self.hidden / self.heads
    }

    fn padded_length(self) -> usize {
        self.length.next_multiple_of(BLOCK)
    }

    /// Where the rows of text `part / heads` start, in elements of `[B·L, H]`, at the columns of head `part % heads`.
    fn start(self, part: usize) -> usize {
        part / self.heads * self.length * self.hidden + part % self.heads * self.width()
    }
}

/// The columns that a product computes at once.
const BLOCK: usize = 16;
/// The rows that a product computes at once.
const ROWS: usize = 6;

/// A matrix in a slice: element (i, j) at i·row + j·column.
#[derive(Clone, Copy)]
struct Strided<'a> {
    data: &'a [f32],
    row: usize,
    column: usize,
}

/// The right operand of a product: rows of a slice.
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: &'a [f32],
    row: usize,
    /// Whether rows go on, with anything, up to the next multiple of [`BLOCK`].
    padded: bool,
}

/// Gives each row of A·B, in blocks of [`BLOCK`] columns, to `store(row, first column, values)`. A is `[m, k]`, B is `[k, n]`.
#[inline(always)]
fn product(
    m: usize,
    n: usize,
    k: usize,
    a: Strided<'_>,
    b: Rows<'_>,
    mut store: impl FnMut(usize, usize, &[f32]),
) {
    let mut column = 0;
    while column < n {
        let width = BLOCK.min(n - column);
        let mut row = 0;
        while row < m {
            let rows = ROWS.min(m - row);
            // Rows beyond the last are computed from the last and dropped: the inner loop stays without branches.
            let offsets: [usize; ROWS] = std::array::from_fn(|i| (row + i.min(rows - 1)) * a.row);
            let sums = if width == BLOCK || b.padded {
                block(k, a, offsets, b, column, BLOCK)
            } else {
                block(k, a, offsets, b, column, width)
            };
            for (i, sums) in sums.iter().enumerate().take(rows) {
                store(row + i, column, &sums[..width]);
            }
            row += rows;
        }
        column += BLOCK;
    }
}

/// The sums of a block of at most [`BLOCK`] columns. They are a value of this function's own, so that they can stay in registers where the
/// width is known when this is compiled.
#[inline(always)]
fn block(
    k: usize,
    a: Strided<'_>,
    offsets: [usize; ROWS],
    b: Rows<'_>,
    column: usize,
    width: usize,
) -> [[f32; BLOCK]; ROWS] {
    let mut sums = [[0.0f32; BLOCK]; ROWS];
    if k == 0 {
        return sums;
    }
    assert!(width <= BLOCK && (k - 1) * b.row + column + width <= b.data.len());
    assert!(offsets.iter().all(|offset| offset + (k - 1) * a.column < a.data.len()));
    for inner in 0..k {
        let start = inner * b.row + column;
        for i in 0..ROWS {
            // SAFETY: `inner` is below `k`, and the assertions cover the last of its places.
            let factor = unsafe { *a.data.get_unchecked(offsets[i] + inner * a.column) };
            for j in 0..width {
                // SAFETY: as above.
                let value = unsafe { *b.data.get_unchecked(start + j) };
                sums[i][j] = factor.mul_add(value, sums[i][j]);
            }
        }
    }
    sums
}

/// Writes one head's rows `[L, d]` transposed, as `[d, padded L]` with zeros behind each row.
#[inline(always)]
fn transpose_head(source: &[f32], sizes: Sizes, target: &mut [f32]) {
    let (width, padded) = (sizes.width(), sizes.padded_length());
    for first in (0..padded).step_by(BLOCK) {
        // A block of rows at a time, so that what is written fills whole lines of the cache.
        let rows: [&[f32]; BLOCK] = std::array::from_fn(|i| {
            let start = (first + i).min(sizes.length - 1) * sizes.hidden;
            &source[start..start + width]
        });
        let visible = (sizes.length - first.min(sizes.length)).min(BLOCK);
        for column in 0..width {
            let block: [f32; BLOCK] = std::array::from_fn(|i| rows[i][column]);
            let target = &mut target[column * padded + first..][..BLOCK];
            target.copy_from_slice(&block);
            target[visible..].fill(0.0);
        }
    }
}

/// Computes one part (text, head) of the forward pass. The mask is the text's `[L]`; probabilities is the part's `[L, L]`.
#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
pub fn forward(
    sizes: Sizes,
    part: usize,
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    mask: &[i64],
    key: Option<MaskKey>,
    context: &Shared<'_, f32>,
    probabilities: &mut [f32],
) {
    with_scratch(sizes.width() * sizes.padded_length() + sizes.length * sizes.length, |scratch| {
        forward_with(sizes, part, queries, keys, values, mask, key, context, probabilities, scratch);
    });
}

/// Computes one part (text, head) of the gradients of queries, keys and values.
#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
pub fn backward(
    sizes: Sizes,
    part: usize,
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    probabilities: &[f32],
    d_context: &[f32],
    key: Option<MaskKey>,
    gradients: [&Shared<'_, f32>; 3],
) {
    with_scratch(sizes.width() * sizes.padded_length() + 2 * sizes.length * sizes.length, |scratch| {
        backward_with(sizes, part, queries, keys, values, probabilities, d_context, key, gradients, scratch);
    });
}

vectorized! {
#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
fn forward_with(
    sizes: Sizes,
    part: usize,
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    mask: &[i64],
    key: Option<MaskKey>,
    context: &Shared<'_, f32>,
    probabilities: &mut [f32],
    scratch: &mut [f32],
) {
    let (width, length, padded) = (sizes.width(), sizes.length, sizes.padded_length());
    let start = sizes.start(part);
    let (queries, keys, values) = (&queries[start..], &keys[start..], &values[start..]);
    let scale = 1.0 / (width as f32).sqrt();
    let (keys_transposed, dropped) = scratch.split_at_mut(width * padded);
    transpose_head(keys, sizes, keys_transposed);
    let a = Strided { data: queries, row: sizes.hidden, column: 1 };
    let b = Rows { data: keys_transposed, row: padded, padded: true };
    product(length, length, width, a, b, |row, column, sums| {
        for (score, sum) in probabilities[row * length + column..].iter_mut().zip(sums) {
            *score = sum * scale;
        }
    });
    for row in probabilities.chunks_exact_mut(length) {
        softmax(row, mask);
    }
    let weights = match key {
        None => &*probabilities,
        Some(key) => {
            drop_elements(key, part * length * length, probabilities, dropped);
            &*dropped
        }
    };
    let a = Strided { data: weights, row: length, column: 1 };
    let b = Rows { data: values, row: sizes.hidden, padded: false };
    product(length, width, length, a, b, |row, column, sums| {
        let first = start + row * sizes.hidden + column;
        // SAFETY: each part writes its own rows and columns.
        unsafe { context.range(first..first + sums.len()) }.copy_from_slice(sums);
    });
}

#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
fn backward_with(
    sizes: Sizes,
    part: usize,
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    probabilities: &[f32],
    d_context: &[f32],
    key: Option<MaskKey>,
    gradients: [&Shared<'_, f32>; 3],
    scratch: &mut [f32],
) {
    let (width, length, padded) = (sizes.width(), sizes.length, sizes.padded_length());
    let start = sizes.start(part);
    let (queries, keys, values, d_context) =
        (&queries[start..], &keys[start..], &values[start..], &d_context[start..]);
    let scale = 1.0 / (width as f32).sqrt();
    let count = length * length;
    let (values_transposed, rest) = scratch.split_at_mut(width * padded);
    let (dropped, d_scores) = rest.split_at_mut(count);
    match key {
        None => dropped.copy_from_slice(probabilities),
        Some(key) => drop_elements(key, part * count, probabilities, dropped),
    }
    let write = |gradient: &Shared<'_, f32>, row: usize, column: usize, sums: &[f32]| {
        let first = start + row * sizes.hidden + column;
        // SAFETY: each part writes its own rows and columns.
        unsafe { gradient.range(first..first + sums.len()) }.copy_from_slice(sums);
    };
    // dV = P̃ᵀ·dO
    let a = Strided { data: dropped, row: 1, column: length };
    let b = Rows { data: d_context, row: sizes.hidden, padded: false };
    product(length, width, length, a, b, |row, column, sums| write(gradients[2], row, column, sums));
    // dP̃ = dO·Vᵀ
    transpose_head(values, sizes, values_transposed);
    let a = Strided { data: d_context, row: sizes.hidden, column: 1 };
    let b = Rows { data: values_transposed, row: padded, padded: true };
    product(length, length, width, a, b, |row, column, sums| {
        d_scores[row * length + column..][..sums.len()].copy_from_slice(sums);
    });
    if let Some(key) = key {
        let first = (part * count) as u32;
        for (index, d) in d_scores.iter_mut().enumerate() {
            *d *= key.factor(first.wrapping_add(index as u32));
        }
    }
    // dS = P·(dP − Σ dP·P), with the scale of the scores
    for (d, p) in d_scores.chunks_exact_mut(length).zip(probabilities.chunks_exact(length)) {
        let sum = sum([&*d, p]);
        for i in 0..length {
            d[i] = p[i] * (d[i] - sum) * scale;
        }
    }
    // dQ = dS·K, dK = dSᵀ·Q
    let a = Strided { data: d_scores, row: length, column: 1 };
    let b = Rows { data: keys, row: sizes.hidden, padded: false };
    product(length, width, length, a, b, |row, column, sums| write(gradients[0], row, column, sums));
    let a = Strided { data: d_scores, row: 1, column: length };
    let b = Rows { data: queries, row: sizes.hidden, padded: false };
    product(length, width, length, a, b, |row, column, sums| write(gradients[1], row, column, sums));
}
}

#[inline(always)]
fn drop_elements(key: MaskKey, first: usize, probabilities: &[f32], dropped: &mut [f32]) {
    for (index, (dropped, p)) in dropped.iter_mut().zip(probabilities).enumerate() {
        *dropped = p * key.factor((first as u32).wrapping_add(index as u32));
    }
}

/// Softmax over one row of scores; keys that the mask hides get 0.
#[inline(always)]
fn softmax(row: &mut [f32], mask: &[i64]) {
    for (score, &visible) in row.iter_mut().zip(mask) {
        *score = if visible == 0 { f32::NEG_INFINITY } else { *score };
    }
    let highest = max(row);
    if highest == f32::NEG_INFINITY {
        // Every key is hidden (or not a number, which must stay to be seen).
        let fill = if row.iter().any(|score| score.is_nan()) { f32::NAN } else { 0.0 };
        row.fill(fill);
        return;
    }
    for score in row.iter_mut() {
        *score = exp(*score - highest);
    }
    let sum = sum([&*row]);
    let share = 1.0 / sum;
    for value in row.iter_mut() {
        *value *= share;
    }
}
