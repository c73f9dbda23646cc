//! Positions by the distance of two tokens: tables of distances, matrices by distance, and
//! rotation.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` rows, `H` width, `d` width
//! of a head.

use super::builder::Builder;
use crate::engine::graph::graph::{Constant, DISTANCES};
use crate::engine::{DType, Dim, ShapeError, Var};

/// What hides a key from a query, other than the mask does: far below every score, and small enough
/// for half precision.
const HIDDEN: f32 = -1e4;

impl Builder {
    /// The distances of keys from queries, key − query, `[L, L]`, those of a query in a row.
    pub fn distances(&mut self) -> Result<Var, ShapeError> {
        let places = self.places()?;
        let (keys, queries) = (self.g.unsqueeze(places, &[0])?, self.g.unsqueeze(places, &[1])?);
        self.g.sub(keys, queries)
    }

    /// Looks numbers up in a table of all distances from −`most` to `most`; `of` gives its entries.
    pub fn by_distance(
        &mut self,
        distances: Var,
        most: usize,
        of: impl Fn(i64) -> i64,
    ) -> Result<Var, ShapeError> {
        let most = most as i64;
        let table: Vec<i64> = (-most..=most).map(of).collect();
        let table = self.g.constant(Constant::ints(&table));
        let shift = self.g.constant(Constant::ints(&[most]));
        let rows = self.g.add(distances, shift)?;
        self.g.gather(table, rows)
    }

    /// A bias of scores `[1, heads, L, L]`: a row of the table `[rows, heads]` for each distance.
    pub fn bias_by_distance(
        &mut self,
        table: Var,
        most: usize,
        row: impl Fn(i64) -> i64,
    ) -> Result<Var, ShapeError> {
        let distances = self.distances()?;
        let rows = self.by_distance(distances, most, row)?; // [L, L]
        let flat = self.g.reshape(rows, &[-1])?;
        let chosen = self.g.gather(table, flat)?; // [L·L, heads]
        let chosen = self.g.split_rows(chosen, rows)?; // [L, L, heads]
        let by_head = self.g.transpose(chosen, &[2, 0, 1])?;
        self.g.unsqueeze(by_head, &[0])
    }

    /// A bias of scores `[1, 1, L, L]` that hides keys farther away than `reach`.
    pub fn window(&mut self, reach: usize) -> Result<Var, ShapeError> {
        let reach = reach as i64;
        let distances = self.distances()?;
        let (least, most) =
            (self.g.constant(Constant::ints(&[-reach])), self.g.constant(Constant::ints(&[reach])));
        let behind = self.g.greater_or_equal(distances, least)?;
        let before = self.g.less_or_equal(distances, most)?;
        let near = self.g.and(behind, before)?;
        self.hiding(near)
    }

    /// A bias of scores `[1, 1, L, L]` that hides all but the keys that a query sees, `[L, L]`.
    pub(super) fn hiding(&mut self, seen: Var) -> Result<Var, ShapeError> {
        let (zero, hidden) = (self.g.scalar(0.0), self.g.scalar(HIDDEN));
        let bias = self.g.choose(seen, zero, hidden)?;
        self.g.unsqueeze(bias, &[0, 1])
    }

    /// The length L as a vector of one number.
    pub fn length(&mut self) -> Result<Var, ShapeError> {
        let sizes = self.g.shape(self.mask())?;
        self.g.slice(sizes, 0, 1, 2)
    }

    /// The numbers from 1 − L to L, `[2L]`: the distances of [`Builder::aligned`]'s columns.
    pub fn columns(&mut self) -> Result<Var, ShapeError> {
        let (places, length) = (self.places()?, self.length()?);
        let one = self.g.constant(Constant::ints(&[1]));
        let first = self.g.sub(one, length)?;
        let first = self.g.add(places, first)?; // 1 − L to 0
        let behind = self.g.add(places, one)?; // 1 to L
        let columns = self.g.concat(&[first, behind], 0)?;
        self.g.name_size(columns, 0, DISTANCES);
        Ok(columns)
    }

    /// The products of rows `[T, H]`, which may have a bias `[H]` to be added, with rows of
    /// distances `[2L, H]`, by head: `[B, heads, L, 2L]`.
    pub fn products_with(
        &mut self,
        rows: (Var, Option<Var>),
        distances: Var,
        heads: usize,
    ) -> Result<Var, ShapeError> {
        let mask = self.mask();
        let by_head = self.g.by_head(rows, mask, heads)?; // [B, heads, L, d]
        let width = match self.g.fact(distances).shape[1] {
            Dim::Fixed(hidden) => hidden / heads.max(1),
            _ => return Err(ShapeError("the width of distances must be known".to_owned())),
        };
        let places = self.g.reshape(distances, &[-1, heads as i64, width as i64])?;
        let places = self.g.transpose(places, &[1, 2, 0])?; // [heads, d, 2L]
        let places = self.g.unsqueeze(places, &[0])?;
        self.g.matmul(by_head, places)
    }

    /// Puts products of rows with distances in the columns of the other tokens: `[B, heads, L, 2L]`
    /// with a column for each of [`Builder::columns`] → `[B, heads, L, L]`, where column `j` of row
    /// `i` is the one of the distance `j − i`.
    ///
    /// This is the shift of Transformer-XL (Dai et al. 2019, appendix B): with one more column,
    /// every row of the same elements begins one place earlier than the row above.
    pub fn aligned(&mut self, products: Var) -> Result<Var, ShapeError> {
        let fact = self.g.fact(products).shape.clone();
        let (texts, heads, length) = (fact[0].clone(), fact[1].clone(), fact[2].clone());
        let sizes = self.g.shape(products)?;
        let leading = self.g.slice(sizes, 0, 0, 2)?; // B, heads
        let long = self.length()?;
        let (one, two) =
            (self.g.constant(Constant::ints(&[1])), self.g.constant(Constant::ints(&[2])));
        let column = self.g.concat(&[leading, long, one], 0)?;
        let known = vec![texts.clone(), heads.clone(), length.clone(), Dim::Fixed(1)];
        let column = self.g.zeros(column, known)?;
        let wider = self.g.concat(&[column, products], 3)?; // [B, heads, L, 2L + 1]
        let rest = self.g.constant(Constant::ints(&[-1]));
        let turned = self.g.concat(&[leading, rest, long], 0)?;
        let known = vec![texts.clone(), heads.clone(), Dim::Unknown, length.clone()];
        let turned = self.g.reshape_to(wider, turned, known)?; // [B, heads, 2L + 1, L]
        let shifted = self.g.slice_from(turned, 2, 1)?; // [B, heads, 2L, L]
        let halves = self.g.concat(&[leading, long, two, long], 0)?;
        let known = vec![texts, heads, length.clone(), Dim::Fixed(2), length];
        let halves = self.g.reshape_to(shifted, halves, known)?;
        let near = self.g.slice(halves, 3, 0, 1)?;
        self.g.squeeze(near, &[3])
    }

    /// The cosines and sines `[L, 1, d/2]` of rotary positions with the base θ: those of
    /// place·θ^(−2i/d) / factor for i from 0 (Su et al. 2021, equation 34).
    pub fn rotations(
        &mut self,
        width: usize,
        theta: f32,
        factor: f32,
    ) -> Result<[Var; 2], ShapeError> {
        let half = width / 2;
        let frequency = |i: usize| 1.0 / theta.powf(2.0 * i as f32 / width as f32) / factor;
        let frequencies = Constant::F32(vec![1, half], (0..half).map(frequency).collect());
        let places = self.places()?;
        let places = self.g.cast(places, DType::F32)?;
        let (places, frequencies) = (self.g.unsqueeze(places, &[1])?, self.g.constant(frequencies));
        let angles = self.g.mul(places, frequencies)?; // [L, d/2]
        let angles = self.g.unsqueeze(angles, &[1])?;
        Ok([self.g.cos(angles)?, self.g.sin(angles)?])
    }

    /// Rotates rows `[T, H]` of so many heads: the halves (a, b) of a head's row become
    /// (a·cos − b·sin, b·cos + a·sin).
    pub fn rotated(
        &mut self,
        x: Var,
        heads: usize,
        width: usize,
        [cos, sin]: [Var; 2],
    ) -> Result<Var, ShapeError> {
        let texts = self.g.by_text(x, self.mask())?; // [B, L, H]
        let by_head = self.g.reshape(texts, &[0, 0, heads as i64, width as i64])?;
        let a = self.g.slice(by_head, 3, 0, width / 2)?; // [B, L, heads, d/2]
        let b = self.g.slice(by_head, 3, width / 2, width)?;
        let (ac, bs) = (self.g.mul(a, cos)?, self.g.mul(b, sin)?);
        let (bc, as_) = (self.g.mul(b, cos)?, self.g.mul(a, sin)?);
        let (first, second) = (self.g.sub(ac, bs)?, self.g.add(bc, as_)?);
        let turned = self.g.concat(&[first, second], 3)?;
        let turned = self.g.reshape(turned, &[-1, (heads * width) as i64])?;
        self.g.of_tokens(turned)
    }
}
