//! The product Aᵀ·B for weight gradients: A `[T, M]` and B `[T, N]` are activations of all tokens,
//! so the sum runs over the long side of both.
//!
//! General libraries transpose A first. Here both operands are read row by row and copied to panels
//! that match a tile of sums in registers (Goto & van de Geijn 2008). The narrower operand is
//! packed once for all threads. Each part of the work packs its columns of the wider operand
//! itself.
#![expect(unsafe_code, reason = "parts of one result are written by several threads at once")]

use std::ops::Range;

use super::parallel::{Shared, range, with_scratch};
use super::simd::{prefetch, vectorized, wide_registers};

/// Columns of the wider operand per part; a multiple of the sides of both tiles.
const PART: usize = 96;
/// The rows of A and B per step of the sum. Their panels stay in the cache, and the result is read
/// and written once per step.
const DEPTH: usize = 512;
/// Rows per part of the packing; divides [`DEPTH`].
const PACKED_ROWS: usize = 64;
/// The distance in rows of the prefetch while copying: a part reads only a short piece of each row,
/// and the next row is far away.
const AHEAD: usize = 12;

/// The sums that fit in registers at once; the result does not depend on this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 12 × 32, for 32 registers of 16 numbers.
    Wide,
    /// 6 × 16, for 16 registers of 8 numbers.
    Narrow,
}

impl Tile {
    /// Returns the tile for this processor.
    pub fn here() -> Tile {
        if wide_registers() { Tile::Wide } else { Tile::Narrow }
    }

    /// The rows and columns of the result.
    fn sides(self) -> (usize, usize) {
        match self {
            Tile::Wide => (12, 32),
            Tile::Narrow => (6, 16),
        }
    }
}

/// A product of known sizes.
#[derive(Clone, Copy, Debug)]
pub struct WeightGrad {
    pub tile: Tile,
    /// T, the rows of A and B.
    pub depth: usize,
    /// M, the columns of A and rows of the result.
    pub rows: usize,
    /// N, the columns of B and of the result.
    pub columns: usize,
}

impl WeightGrad {
    /// Returns whether B is the operand that is packed once, and parts are rows of the result.
    /// Products with the same B can then share it.
    pub fn packs_b(self) -> bool {
        self.columns <= self.rows
    }

    /// Returns the columns of the operand that is packed once, and of one of its panels.
    fn common(self) -> (usize, usize) {
        let (rows, columns) = self.tile.sides();
        if self.packs_b() { (self.columns, columns) } else { (self.rows, rows) }
    }

    /// Returns the number of elements of the packed operand.
    pub fn packed(self) -> usize {
        let (width, panel) = self.common();
        self.depth * width.next_multiple_of(panel)
    }

    /// Returns the number of parts of the packing.
    pub fn packing_parts(self) -> usize {
        self.depth.div_ceil(PACKED_ROWS)
    }

    /// Returns the number of parts of the product.
    pub fn parts(self) -> usize {
        self.rows.max(self.columns).div_ceil(PART)
    }

    /// Returns the rows of A and B of one step of the sum.
    fn step(self, index: usize) -> Range<usize> {
        range(index, DEPTH, self.depth)
    }

    /// Packs one part of the narrower operand: the panels of each step of the sum, one after the
    /// other.
    pub fn pack(self, part: usize, a: &[f32], b: &[f32], packed: &Shared<'_, f32>) {
        let source = if self.packs_b() { b } else { a };
        match self.common().1 {
            32 => pack_32(self, part, source, packed),
            16 => pack_16(self, part, source, packed),
            12 => pack_12(self, part, source, packed),
            _ => pack_6(self, part, source, packed),
        }
    }

    /// Computes one part of the result from the wider operand and the packed one. Each part writes
    /// its own rows or columns.
    pub fn multiply(
        self,
        part: usize,
        a: &[f32],
        b: &[f32],
        packed: &[f32],
        result: &Shared<'_, f32>,
    ) {
        let source = if self.packs_b() { a } else { b };
        with_scratch(PART * DEPTH, |scratch| match (self.tile, self.packs_b()) {
            (Tile::Wide, true) => rows_wide(self, part, source, packed, scratch, result),
            (Tile::Wide, false) => columns_wide(self, part, source, packed, scratch, result),
            (Tile::Narrow, true) => rows_narrow(self, part, source, packed, scratch, result),
            (Tile::Narrow, false) => columns_narrow(self, part, source, packed, scratch, result),
        });
    }
}

vectorized! {
fn pack_32(product: WeightGrad, part: usize, source: &[f32], packed: &Shared<'_, f32>) {
    pack_common::<32>(product, part, source, packed);
}

fn pack_16(product: WeightGrad, part: usize, source: &[f32], packed: &Shared<'_, f32>) {
    pack_common::<16>(product, part, source, packed);
}

fn pack_12(product: WeightGrad, part: usize, source: &[f32], packed: &Shared<'_, f32>) {
    pack_common::<12>(product, part, source, packed);
}

fn pack_6(product: WeightGrad, part: usize, source: &[f32], packed: &Shared<'_, f32>) {
    pack_common::<6>(product, part, source, packed);
}

fn rows_wide(
    product: WeightGrad,
    part: usize,
    a: &[f32],
    packed: &[f32],
    scratch: &mut [f32],
    result: &Shared<'_, f32>,
) {
    multiply_with::<12, 32, 12, 32>(product, part, a, packed, scratch, result);
}

fn columns_wide(
    product: WeightGrad,
    part: usize,
    b: &[f32],
    packed: &[f32],
    scratch: &mut [f32],
    result: &Shared<'_, f32>,
) {
    multiply_with::<12, 32, 32, 12>(product, part, b, packed, scratch, result);
}

fn rows_narrow(
    product: WeightGrad,
    part: usize,
    a: &[f32],
    packed: &[f32],
    scratch: &mut [f32],
    result: &Shared<'_, f32>,
) {
    multiply_with::<6, 16, 6, 16>(product, part, a, packed, scratch, result);
}

fn columns_narrow(
    product: WeightGrad,
    part: usize,
    b: &[f32],
    packed: &[f32],
    scratch: &mut [f32],
    result: &Shared<'_, f32>,
) {
    multiply_with::<6, 16, 16, 6>(product, part, b, packed, scratch, result);
}
}

#[inline(always)]
fn pack_common<const PANEL: usize>(
    product: WeightGrad,
    part: usize,
    source: &[f32],
    packed: &Shared<'_, f32>,
) {
    let width = product.common().0;
    let panels = width.div_ceil(PANEL);
    let rows = range(part, PACKED_ROWS, product.depth);
    let step = product.step(rows.start / DEPTH);
    for panel in 0..panels {
        let start = (step.start * panels + panel * step.len() + rows.start - step.start) * PANEL;
        // SAFETY: each part has rows of its own in every panel.
        let target = unsafe { packed.range(start..start + rows.len() * PANEL) };
        let columns = panel * PANEL..((panel + 1) * PANEL).min(width);
        for (row, target) in rows.clone().zip(target.as_chunks_mut::<PANEL>().0) {
            copy_padded(&source[row * width + columns.start..row * width + columns.end], target);
        }
    }
}

/// Copies columns of rows `[T, width]` to panels of `PANEL` columns.
#[inline(always)]
fn pack_own<const PANEL: usize>(
    source: &[f32],
    width: usize,
    columns: Range<usize>,
    rows: Range<usize>,
    target: &mut [f32],
) {
    let panels = target.as_chunks_mut::<PANEL>().0;
    let depth = rows.len();
    for (index, row) in rows.enumerate() {
        prefetch(source, (row + AHEAD) * width + columns.start, columns.len());
        let source = &source[row * width + columns.start..row * width + columns.end];
        for (panel, values) in source.chunks(PANEL).enumerate() {
            copy_padded(values, &mut panels[panel * depth + index]);
        }
    }
}

#[inline(always)]
fn copy_padded<const N: usize>(values: &[f32], target: &mut [f32; N]) {
    if let Ok(values) = <&[f32; N]>::try_from(values) {
        *target = *values;
    } else {
        target[..values.len()].copy_from_slice(values);
        target[values.len()..].fill(0.0);
    }
}

/// Computes a part. Its own columns are packed in panels of `OWN`, the other operand's in panels of
/// `COMMON`: the rows `R` and columns `C` of a tile, or the reverse. (A shared function with a
/// closure is not possible, because closures are not compiled for the processor's instructions.)
#[inline(always)]
fn multiply_with<const R: usize, const C: usize, const OWN: usize, const COMMON: usize>(
    product: WeightGrad,
    part: usize,
    source: &[f32],
    packed: &[f32],
    scratch: &mut [f32],
    result: &Shared<'_, f32>,
) {
    let splits_rows = OWN == R;
    let width = if splits_rows { product.rows } else { product.columns };
    let columns = range(part, PART, width);
    let (last_row, last_column) =
        if splits_rows { (columns.end, product.columns) } else { (product.rows, columns.end) };
    let common = product.common().0.next_multiple_of(COMMON);
    for index in 0..product.depth.div_ceil(DEPTH).max(1) {
        let step = product.step(index);
        let depth = step.len();
        let own = &mut scratch[..columns.len().next_multiple_of(OWN) * depth];
        pack_own::<OWN>(source, width, columns.clone(), step.clone(), own);
        for place in 0..common / COMMON {
            let start = step.start * common + place * COMMON * depth;
            let theirs = &packed[start..start + COMMON * depth];
            for (panel, first) in columns.clone().step_by(OWN).enumerate() {
                let ours = &own[panel * OWN * depth..(panel + 1) * OWN * depth];
                let (sums, row, column) = if splits_rows {
                    (tile::<R, C>(ours, theirs), first, place * COMMON)
                } else {
                    (tile::<R, C>(theirs, ours), place * COMMON, first)
                };
                store(product, index == 0, row..last_row, column..last_column, &sums, result);
            }
        }
    }
}

/// Writes a tile's sums, or adds them to the sums of earlier steps, up to the last row and column.
#[inline(always)]
fn store<const R: usize, const C: usize>(
    product: WeightGrad,
    first_step: bool,
    rows: Range<usize>,
    columns: Range<usize>,
    sums: &[[f32; C]; R],
    result: &Shared<'_, f32>,
) {
    let width = C.min(columns.len());
    for (row, sums) in rows.zip(sums) {
        let start = row * product.columns + columns.start;
        // SAFETY: each part has rows or columns of its own.
        let target = unsafe { result.range(start..start + width) };
        // With a constant length, a call becomes a few instructions.
        if let Ok(target) = <&mut [f32; C]>::try_from(&mut *target) {
            for j in 0..C {
                target[j] = if first_step { sums[j] } else { target[j] + sums[j] };
            }
        } else {
            for (target, sum) in target.iter_mut().zip(sums) {
                *target = if first_step { *sum } else { *target + sum };
            }
        }
    }
}

/// Returns the sums of one tile. They are a local value, so that they stay in registers.
#[inline(always)]
fn tile<const R: usize, const C: usize>(a: &[f32], b: &[f32]) -> [[f32; C]; R] {
    let mut sums = [[0.0f32; C]; R];
    for (a, b) in a.as_chunks::<R>().0.iter().zip(b.as_chunks::<C>().0) {
        for i in 0..R {
            for j in 0..C {
                sums[i][j] = a[i].mul_add(b[j], sums[i][j]);
            }
        }
    }
    sums
}
