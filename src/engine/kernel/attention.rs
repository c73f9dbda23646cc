//! Attention of one head of one text, and its gradient. The products are small, so they run here on
//! strided rows, and only the rows of one head are copied.
#![expect(unsafe_code, reason = "bounds checks in the innermost loop cost as much as its work")]

use super::math::exp;
use super::parallel::{Shared, with_scratch};
use super::random::MaskKey;
use super::simd::vectorized;

/// The sizes of the attention of one text.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// H, the width of a row.
    pub hidden: usize,
    pub heads: usize,
    /// l, the rows of the text.
    pub length: usize,
    /// L, the rows of the longest text.
    pub most: usize,
    /// The first row of the text.
    pub first: usize,
}

impl Sizes {
    /// The width of one head.
    pub fn width(self) -> usize {
        self.hidden / self.heads
    }

    fn padded_length(self) -> usize {
        self.length.next_multiple_of(BLOCK)
    }

    fn padded_width(self) -> usize {
        self.width().next_multiple_of(BLOCK)
    }

    /// Returns the number of elements of one head's rows when copied: at least one for each query,
    /// up to the next multiple of [`BLOCK`].
    fn rows(self) -> usize {
        self.length * self.padded_width()
    }

    /// Returns the number of elements of one head's rows when copied and transposed.
    fn transposed(self) -> usize {
        self.width() * self.padded_length()
    }

    /// Returns the number of elements of one head's scores, with room for queries up to the next
    /// multiple of [`BLOCK`].
    fn scores(self) -> usize {
        self.length * self.padded_length()
    }

    /// Returns the first column of head `part % heads` in a row.
    fn column(self, part: usize) -> usize {
        part % self.heads * self.width()
    }

    /// Returns the position in `[T, H]` of the text's first row, at the columns of head `part %
    /// heads`.
    fn start(self, part: usize) -> usize {
        self.first * self.hidden + self.column(part)
    }
}

/// How scores are made of products of queries and keys.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    heads: usize,
    /// L
    most: usize,
    scale: f32,
    /// `[1 or B, 1 or heads, L, L]`, those of a key in a row, and how far on the next text's and
    /// the next head's lie.
    bias: Option<(&'a [f32], [usize; 2])>,
}

impl<'a> Scores<'a> {
    /// Takes a bias by its shape; `None` where it does not fit so many texts and heads, with `most`
    /// rows of the longest text.
    pub fn new(
        [texts, heads, most]: [usize; 3],
        scale: f32,
        bias: Option<(&[usize], &'a [f32])>,
    ) -> Option<Scores<'a>> {
        let Some((shape, values)) = bias else {
            return Some(Scores { heads, most, scale, bias: None });
        };
        let count = most * most;
        let &[its_texts, its_heads, keys, queries] = shape else { return None };
        let fits = (its_texts == 1 || its_texts == texts)
            && (its_heads == 1 || its_heads == heads)
            && [keys, queries] == [most; 2]
            && values.len() == its_texts * its_heads * count;
        let text = if its_texts == 1 { 0 } else { its_heads * count };
        let head = if its_heads == 1 { 0 } else { count };
        fits.then_some(Scores { heads, most, scale, bias: Some((values, [text, head])) })
    }

    /// Returns the bias of a part (text, head), `[L, L]`.
    fn of_part(&self, part: usize) -> Option<&'a [f32]> {
        let (values, [text, head]) = self.bias?;
        let start = part / self.heads * text + part % self.heads * head;
        Some(&values[start..][..self.most * self.most])
    }
}

/// Where the gradients of one part go.
pub struct Gradients<'a> {
    /// Those of queries, keys and values.
    pub rows: [&'a Shared<'a, f32>; 3],
    /// The texts' shares of the bias gradients, of which the part's text has `[3, H]` from `set`
    /// on.
    pub biases: &'a Shared<'a, f32>,
    pub set: usize,
    /// Those of the scores' bias, the part's own `[L, L]`, one row per key; what is no token's
    /// stays as it is.
    pub scores: Option<&'a mut [f32]>,
}

/// The number of columns that a product computes at once.
const BLOCK: usize = 16;
/// The number of rows that a product computes at once.
const ROWS: usize = 6;

/// A matrix in a slice: element (i, j) at i·row + j·column.
#[derive(Clone, Copy)]
struct Strided<'a> {
    data: &'a [f32],
    row: usize,
    column: usize,
}

/// The right operand of a product: rows of a slice, padded with any values up to the next multiple
/// of [`BLOCK`].
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: &'a [f32],
    row: usize,
}

/// Computes A·B and passes blocks of at most [`ROWS`] rows and [`BLOCK`] columns to `store(first
/// row, first column, rows, valid columns)`. A is `[m, k]`, B is `[k, n]`.
#[inline(always)]
fn product(
    m: usize,
    n: usize,
    k: usize,
    a: Strided<'_>,
    b: Rows<'_>,
    mut store: impl FnMut(usize, usize, &[[f32; BLOCK]], usize),
) {
    for column in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - column);
        let mut row = 0;
        while row < m {
            let rows = ROWS.min(m - row);
            // Rows beyond the last are computed from the last and dropped, so that the inner loop
            // has no branches.
            let offsets: [usize; ROWS] = std::array::from_fn(|i| (row + i.min(rows - 1)) * a.row);
            let sums = block(k, a, offsets, b, column);
            // With constant sizes, calls become a few instructions.
            if rows == ROWS && width == BLOCK {
                store(row, column, &sums, BLOCK);
            } else {
                store(row, column, &sums[..rows], width);
            }
            row += rows;
        }
    }
}

/// Returns the sums of a block of [`BLOCK`] columns. They are a local value, so that they can stay
/// in registers.
#[inline(always)]
fn block(
    k: usize,
    a: Strided<'_>,
    offsets: [usize; ROWS],
    b: Rows<'_>,
    column: usize,
) -> [[f32; BLOCK]; ROWS] {
    let mut sums = [[0.0f32; BLOCK]; ROWS];
    if k == 0 {
        return sums;
    }
    assert!((k - 1) * b.row + column + BLOCK <= b.data.len());
    assert!(offsets.iter().all(|offset| offset + (k - 1) * a.column < a.data.len()));
    for inner in 0..k {
        let start = inner * b.row + column;
        for i in 0..ROWS {
            // SAFETY: `inner` is below `k`, and the assertions cover its last position.
            let factor = unsafe { *a.data.get_unchecked(offsets[i] + inner * a.column) };
            for j in 0..BLOCK {
                // SAFETY: as above.
                let value = unsafe { *b.data.get_unchecked(start + j) };
                sums[i][j] = factor.mul_add(value, sums[i][j]);
            }
        }
    }
    sums
}

/// Rows `[T, H]` without their bias, and the bias `[H]` if there is one.
#[derive(Clone, Copy)]
pub struct Biased<'a> {
    pub rows: &'a [f32],
    pub bias: Option<&'a [f32]>,
}

impl Biased<'_> {
    /// Writes one head's rows `[L, d]` with their bias to `[L, padded d]`.
    #[inline(always)]
    fn copy(self, sizes: Sizes, part: usize, target: &mut [f32]) {
        let width = sizes.width();
        let sources = self.rows[sizes.start(part)..].chunks(sizes.hidden);
        for (source, target) in sources.zip(target.chunks_exact_mut(sizes.padded_width())) {
            let (source, target) = (&source[..width], &mut target[..width]);
            match self.bias {
                None => target.copy_from_slice(source),
                Some(bias) => {
                    let bias = &bias[sizes.column(part)..][..width];
                    for i in 0..width {
                        target[i] = source[i] + bias[i];
                    }
                }
            }
        }
    }
}

/// Transposes one head's copied rows `[L, padded d]` to `[d, padded L]`, with zeros after each row.
#[inline(always)]
fn transpose(rows: &[f32], sizes: Sizes, target: &mut [f32]) {
    let (width, padded) = (sizes.width(), sizes.padded_length());
    for first in (0..padded).step_by(BLOCK) {
        for column in (0..width).step_by(BLOCK) {
            let mut block = [[0.0f32; BLOCK]; BLOCK];
            for (row, values) in
                block.iter_mut().zip(rows.chunks_exact(sizes.padded_width()).skip(first))
            {
                row.copy_from_slice(&values[column..column + BLOCK]);
            }
            let block = transposed(block);
            for (i, row) in block.iter().enumerate().take(width - column) {
                target[(column + i) * padded + first..][..BLOCK].copy_from_slice(row);
            }
        }
    }
}

/// Returns the transposed block; interleaving its halves four times moves every element to its
/// place.
#[inline(always)]
fn transposed(mut rows: [[f32; BLOCK]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
    for _ in 0..BLOCK.ilog2() {
        let mut next = [[0.0f32; BLOCK]; BLOCK];
        for i in 0..BLOCK / 2 {
            for j in 0..BLOCK / 2 {
                next[2 * i][2 * j] = rows[i][j];
                next[2 * i][2 * j + 1] = rows[i + BLOCK / 2][j];
                next[2 * i + 1][2 * j] = rows[i][j + BLOCK / 2];
                next[2 * i + 1][2 * j + 1] = rows[i + BLOCK / 2][j + BLOCK / 2];
            }
        }
        rows = next;
    }
    rows
}

/// Computes one part (text, head) of the forward pass. The mask is the text's `[l]`. The
/// probabilities are the part's `[l, l]`, one row per key.
pub fn forward(
    (scores, sizes): (Scores<'_>, Sizes),
    part: usize,
    operands: [Biased<'_>; 3],
    mask: &[i64],
    key: Option<MaskKey>,
    context: &Shared<'_, f32>,
    probabilities: &mut [f32],
) {
    with_scratch(sizes.rows() + sizes.transposed() + sizes.scores(), |scratch| {
        forward_with(scores, sizes, part, operands, mask, key, context, probabilities, scratch);
    });
}

/// Computes one part (text, head) of the gradients.
#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
pub fn backward(
    sizes: Sizes,
    scale: f32,
    part: usize,
    operands: [Biased<'_>; 3],
    probabilities: &[f32],
    d_context: &[f32],
    key: Option<MaskKey>,
    gradients: Gradients<'_>,
) {
    with_scratch(sizes.rows() + sizes.transposed() + 2 * sizes.scores(), |scratch| {
        backward_with(
            sizes,
            scale,
            part,
            operands,
            probabilities,
            d_context,
            key,
            gradients,
            scratch,
        );
    });
}

vectorized! {
#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
fn forward_with(
    made: Scores<'_>,
    sizes: Sizes,
    part: usize,
    operands: [Biased<'_>; 3],
    mask: &[i64],
    key: Option<MaskKey>,
    context: &Shared<'_, f32>,
    probabilities: &mut [f32],
    scratch: &mut [f32],
) {
    let (width, length) = (sizes.width(), sizes.length);
    let (padded, row) = (sizes.padded_length(), sizes.padded_width());
    let (rows, scratch) = scratch.split_at_mut(sizes.rows());
    let (queries_transposed, scores) = scratch.split_at_mut(sizes.transposed());
    let [queries, keys, values] = operands;
    queries.copy(sizes, part, rows);
    transpose(rows, sizes, queries_transposed);
    keys.copy(sizes, part, rows);
    // Keys are rows and queries are columns, so that each vector lane sums over the keys of one
    // query.
    let a = Strided { data: rows, row, column: 1 };
    let b = Rows { data: queries_transposed, row: padded };
    product(length, padded, width, a, b, |first, column, sums, _| {
        for (i, sums) in sums.iter().enumerate() {
            *lanes(scores, (first + i) * padded + column) = *sums;
        }
    });
    let bias = made.of_part(part);
    let of_keys = bias.iter().flat_map(|bias| bias.chunks_exact(sizes.most).take(length));
    for (key, bias) in of_keys.enumerate() {
        for (score, bias) in scores[key * padded..][..length].iter_mut().zip(bias) {
            *score = *score * made.scale + bias;
        }
    }
    let scale = if bias.is_some() { 1.0 } else { made.scale };
    for first in (0..length).step_by(BLOCK) {
        softmax(&mut scores[first..], padded, mask, scale);
    }
    for (index, probabilities) in probabilities.chunks_exact_mut(length).enumerate() {
        let scores = &mut scores[index * padded..][..padded];
        probabilities.copy_from_slice(&scores[..length]);
        if let Some(key) = key {
            drop_elements(scores, key, sizes, part, index);
        }
    }
    values.copy(sizes, part, rows);
    let a = Strided { data: scores, row: 1, column: padded };
    product(length, width, length, a, Rows { data: rows, row }, |row, column, sums, width| {
        write(context, sizes, part, row, column, sums, width);
    });
}

#[expect(clippy::too_many_arguments, reason = "the arguments are the operator's tensors")]
fn backward_with(
    sizes: Sizes,
    scale: f32,
    part: usize,
    operands: [Biased<'_>; 3],
    probabilities: &[f32],
    d_context: &[f32],
    key: Option<MaskKey>,
    made: Gradients<'_>,
    scratch: &mut [f32],
) {
    let Gradients { rows: gradients, biases: d_biases, set, scores: mut d_bias } = made;
    let (width, length) = (sizes.width(), sizes.length);
    let (padded, row) = (sizes.padded_length(), sizes.padded_width());
    let (rows, scratch) = scratch.split_at_mut(sizes.rows());
    let (d_transposed, scratch) = scratch.split_at_mut(sizes.transposed());
    let (weights, d_scores) = scratch.split_at_mut(sizes.scores());
    let [queries, keys, values] = operands;
    Biased { rows: d_context, bias: None }.copy(sizes, part, rows);
    transpose(rows, sizes, d_transposed);
    for (index, probabilities) in probabilities.chunks_exact(length).enumerate() {
        let weights = &mut weights[index * padded..][..padded];
        weights[..length].copy_from_slice(probabilities);
        weights[length..].fill(0.0);
        if let Some(key) = key {
            drop_elements(weights, key, sizes, part, index);
        }
    }
    let biases: [&mut [f32]; 3] = std::array::from_fn(|which| {
        let first = set + which * sizes.hidden + sizes.column(part);
        // SAFETY: each part has its own columns.
        unsafe { d_biases.range(first..first + width) }
    });
    let [dq_bias, dk_bias, dv_bias] = biases;
    // dV = P̃·dO
    let a = Strided { data: weights, row: padded, column: 1 };
    product(length, width, length, a, Rows { data: rows, row }, |row, column, sums, width| {
        write(gradients[2], sizes, part, row, column, sums, width);
        add(row, column, sums, width, dv_bias);
    });
    // dP̃ = V·dOᵀ
    values.copy(sizes, part, rows);
    let a = Strided { data: rows, row, column: 1 };
    let b = Rows { data: d_transposed, row: padded };
    product(length, padded, width, a, b, |first, column, sums, _| {
        for (i, sums) in sums.iter().enumerate() {
            *lanes(d_scores, (first + i) * padded + column) = *sums;
        }
    });
    // dS = P·(dP − Σ dP·P) = P̃·dP̃ − P·Σ P̃·dP̃, with the scale of the scores
    let sums = &mut rows[..padded];
    sums.fill(0.0);
    for (d, weights) in d_scores.chunks_exact_mut(padded).zip(weights.chunks_exact(padded)) {
        for ((d, weight), sum) in d.iter_mut().zip(weights).zip(&mut *sums) {
            *d *= weight;
            *sum += *d;
        }
    }
    let kept = probabilities.chunks_exact(length);
    for (index, (d, probabilities)) in d_scores.chunks_exact_mut(padded).zip(kept).enumerate() {
        for ((d, p), sum) in d.iter_mut().zip(probabilities).zip(&*sums) {
            *d -= p * sum;
        }
        if let Some(d_bias) = &mut d_bias {
            d_bias[index * sizes.most..][..length].copy_from_slice(&d[..length]);
        }
        for d in &mut d[..length] {
            *d *= scale;
        }
    }
    // dQ = dSᵀ·K, dK = dS·Q
    keys.copy(sizes, part, rows);
    let a = Strided { data: d_scores, row: 1, column: padded };
    product(length, width, length, a, Rows { data: rows, row }, |row, column, sums, width| {
        write(gradients[0], sizes, part, row, column, sums, width);
        add(row, column, sums, width, dq_bias);
    });
    queries.copy(sizes, part, rows);
    let a = Strided { data: d_scores, row: padded, column: 1 };
    product(length, width, length, a, Rows { data: rows, row }, |row, column, sums, width| {
        write(gradients[1], sizes, part, row, column, sums, width);
        add(row, column, sums, width, dk_bias);
    });
}
}

/// Writes a block of a head's rows to its place in `[T, H]`.
#[inline(always)]
fn write(
    target: &Shared<'_, f32>,
    sizes: Sizes,
    part: usize,
    row: usize,
    column: usize,
    values: &[[f32; BLOCK]],
    width: usize,
) {
    let start = sizes.start(part) + row * sizes.hidden + column;
    for (i, values) in values.iter().enumerate() {
        let first = start + i * sizes.hidden;
        // SAFETY: each part writes its own rows and columns.
        unsafe { target.range(first..first + width) }.copy_from_slice(&values[..width]);
    }
}

/// Adds a block of rows to the sums of their columns, which start at row 0.
#[inline(always)]
fn add(row: usize, column: usize, values: &[[f32; BLOCK]], width: usize, sums: &mut [f32]) {
    let mut lanes = [0.0f32; BLOCK];
    for values in values {
        for i in 0..BLOCK {
            lanes[i] += values[i];
        }
    }
    for (sum, lane) in sums[column..column + width].iter_mut().zip(lanes) {
        *sum = if row == 0 { lane } else { *sum + lane };
    }
}

/// Drops out elements of the probabilities of one key, given by its position. An element's number
/// is its position in `[B, heads, queries, keys]`.
#[inline(always)]
fn drop_elements(row: &mut [f32], key: MaskKey, sizes: Sizes, part: usize, index: usize) {
    let length = sizes.most as u32;
    let first = (part as u32).wrapping_mul(length);
    for (block, values) in row.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let first = first.wrapping_add((block * BLOCK) as u32);
        for i in 0..BLOCK {
            let number =
                first.wrapping_add(i as u32).wrapping_mul(length).wrapping_add(index as u32);
            values[i] *= key.factor(number);
        }
    }
}

/// Returns a block of elements from `start` on.
#[expect(clippy::expect_used, reason = "the one check leaves none to the loops over the block")]
#[inline(always)]
fn lanes(data: &mut [f32], start: usize) -> &mut [f32; BLOCK] {
    data[start..].first_chunk_mut().expect("rows go on up to the next multiple of a block")
}

/// Computes the softmax down a block of columns of scaled scores; masked keys get 0.
#[inline(always)]
fn softmax(scores: &mut [f32], row: usize, mask: &[i64], scale: f32) {
    let mut highest = [f32::NEG_INFINITY; BLOCK];
    let mut seen = false;
    for (index, &visible) in mask.iter().enumerate() {
        if visible != 0 {
            seen = true;
            let scores = lanes(scores, index * row);
            for i in 0..BLOCK {
                highest[i] = if scores[i] > highest[i] { scores[i] } else { highest[i] };
            }
        }
    }
    let mut sums = [0.0f32; BLOCK];
    for (index, &visible) in mask.iter().enumerate() {
        let scores = lanes(scores, index * row);
        for i in 0..BLOCK {
            scores[i] = if visible != 0 { exp((scores[i] - highest[i]) * scale) } else { 0.0 };
            sums[i] += scores[i];
        }
    }
    if !seen {
        return;
    }
    let mut shares = [0.0f32; BLOCK];
    for i in 0..BLOCK {
        shares[i] = 1.0 / sums[i];
    }
    for index in 0..mask.len() {
        let scores = lanes(scores, index * row);
        for i in 0..BLOCK {
            scores[i] *= shares[i];
        }
    }
}
