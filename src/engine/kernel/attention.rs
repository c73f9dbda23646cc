//! Multi-head attention of one head of one text, and its gradient. The products are small, so they run here, on strided rows, and
//! nothing is transposed or copied in memory but one head's keys or values.

use super::math::exp;
use super::parallel::{Shared, with_scratch};
use super::random::MaskKey;
use super::simd::{max_by, sum_by, vectorized};

/// The sizes of one attention.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// H, the width of a row.
    pub hidden: usize,
    pub heads: usize,
    /// Lq, the queries of a text.
    pub queries: usize,
    /// L, the keys of a text.
    pub keys: usize,
}

impl Sizes {
    /// The width of one head.
    pub fn width(self) -> usize {
        self.hidden / self.heads
    }

    fn padded_keys(self) -> usize {
        self.keys.next_multiple_of(BLOCK)
    }

    /// Where the rows of text `part / heads` start, in elements of `[B·rows, H]`, at the columns of head `part % heads`.
    fn start(self, part: usize, rows: usize) -> usize {
        part / self.heads * rows * self.hidden + part % self.heads * self.width()
    }
}

/// The columns that a product computes at once.
const BLOCK: usize = 16;
/// The rows that a product computes at once.
const ROWS: usize = 4;

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
            let mut sums = [[0.0f32; BLOCK]; ROWS];
            // Rows beyond the last are computed from the last and dropped: the inner loop stays without branches.
            let offsets: [usize; ROWS] = std::array::from_fn(|i| (row + i.min(rows - 1)) * a.row);
            if width == BLOCK || b.padded {
                for inner in 0..k {
                    let start = inner * b.row + column;
                    let values = &b.data[start..start + BLOCK];
                    for i in 0..ROWS {
                        let factor = a.data[offsets[i] + inner * a.column];
                        for j in 0..BLOCK {
                            sums[i][j] = factor.mul_add(values[j], sums[i][j]);
                        }
                    }
                }
            } else {
                for inner in 0..k {
                    for i in 0..ROWS {
                        let factor = a.data[offsets[i] + inner * a.column];
                        for j in 0..width {
                            sums[i][j] = factor.mul_add(b.data[inner * b.row + column + j], sums[i][j]);
                        }
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(rows) {
                store(row + i, column, &sums[..width]);
            }
            row += rows;
        }
        column += BLOCK;
    }
}

/// Writes one head's rows `[L, d]` transposed, as `[d, padded L]` with zeros behind each row.
#[inline(always)]
fn transpose_head(source: &[f32], sizes: Sizes, target: &mut [f32]) {
    let (width, padded) = (sizes.width(), sizes.padded_keys());
    for (column, target) in target.chunks_exact_mut(padded).enumerate().take(width) {
        for (row, value) in target.iter_mut().enumerate() {
            *value = if row < sizes.keys { source[row * sizes.hidden + column] } else { 0.0 };
        }
    }
}

/// Computes one part (text, head) of the forward pass. The mask is the text's `[L]`; probabilities is the part's `[Lq, L]`.
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
    with_scratch(sizes.width() * sizes.padded_keys() + sizes.queries * sizes.keys, |scratch| {
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
    with_scratch(sizes.width() * sizes.padded_keys() + 2 * sizes.queries * sizes.keys, |scratch| {
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
    let (width, length, padded) = (sizes.width(), sizes.keys, sizes.padded_keys());
    let (queries, keys, values) =
        (&queries[sizes.start(part, sizes.queries)..], &keys[sizes.start(part, length)..], &values[sizes.start(part, length)..]);
    let scale = 1.0 / (width as f32).sqrt();
    let (keys_transposed, dropped) = scratch.split_at_mut(width * padded);
    transpose_head(keys, sizes, keys_transposed);
    let a = Strided { data: queries, row: sizes.hidden, column: 1 };
    let b = Rows { data: keys_transposed, row: padded, padded: true };
    product(sizes.queries, length, width, a, b, |row, column, sums| {
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
            drop_elements(key, part * sizes.queries * length, probabilities, dropped);
            &*dropped
        }
    };
    let a = Strided { data: weights, row: length, column: 1 };
    let b = Rows { data: values, row: sizes.hidden, padded: false };
    let start = sizes.start(part, sizes.queries);
    product(sizes.queries, width, length, a, b, |row, column, sums| {
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
    let (width, length, padded) = (sizes.width(), sizes.keys, sizes.padded_keys());
    let (query_start, key_start) = (sizes.start(part, sizes.queries), sizes.start(part, length));
    let (queries, keys, values) = (&queries[query_start..], &keys[key_start..], &values[key_start..]);
    let d_context = &d_context[query_start..];
    let scale = 1.0 / (width as f32).sqrt();
    let count = sizes.queries * length;
    let (values_transposed, rest) = scratch.split_at_mut(width * padded);
    let (dropped, d_scores) = rest.split_at_mut(count);
    match key {
        None => dropped.copy_from_slice(probabilities),
        Some(key) => drop_elements(key, part * count, probabilities, dropped),
    }
    let write = |gradient: &Shared<'_, f32>, start: usize, row: usize, column: usize, sums: &[f32]| {
        let first = start + row * sizes.hidden + column;
        // SAFETY: each part writes its own rows and columns.
        unsafe { gradient.range(first..first + sums.len()) }.copy_from_slice(sums);
    };
    // dV = P̃ᵀ·dO
    let a = Strided { data: dropped, row: 1, column: length };
    let b = Rows { data: d_context, row: sizes.hidden, padded: false };
    product(length, width, sizes.queries, a, b, |row, column, sums| write(gradients[2], key_start, row, column, sums));
    // dP̃ = dO·Vᵀ
    transpose_head(values, sizes, values_transposed);
    let a = Strided { data: d_context, row: sizes.hidden, column: 1 };
    let b = Rows { data: values_transposed, row: padded, padded: true };
    product(sizes.queries, length, width, a, b, |row, column, sums| {
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
        let sum = sum_by(length, |i| d[i] * p[i]);
        for i in 0..length {
            d[i] = p[i] * (d[i] - sum) * scale;
        }
    }
    // dQ = dS·K, dK = dSᵀ·Q
    let a = Strided { data: d_scores, row: length, column: 1 };
    let b = Rows { data: keys, row: sizes.hidden, padded: false };
    product(sizes.queries, width, length, a, b, |row, column, sums| write(gradients[0], query_start, row, column, sums));
    let a = Strided { data: d_scores, row: 1, column: length };
    let b = Rows { data: queries, row: sizes.hidden, padded: false };
    product(length, width, sizes.queries, a, b, |row, column, sums| write(gradients[1], key_start, row, column, sums));
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
    let highest = max_by(row.len(), |i| row[i]);
    if highest == f32::NEG_INFINITY {
        // Every key is hidden (or not a number, which must stay to be seen).
        let fill = if row.iter().any(|score| score.is_nan()) { f32::NAN } else { 0.0 };
        row.fill(fill);
        return;
    }
    for score in row.iter_mut() {
        *score = exp(*score - highest);
    }
    let sum = sum_by(row.len(), |i| row[i]);
    let share = 1.0 / sum;
    for value in row.iter_mut() {
        *value *= share;
    }
}
