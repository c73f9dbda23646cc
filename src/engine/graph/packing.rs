//! Rows of token states: of tokens alone, or of padding too.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` rows, `H` width. Without
//! packing, `T` is `B·L`; with it, the rows of padding are left out, so that no work is done for
//! them. The rows of a text follow each other in both.

use super::fact::{Dim, ShapeError, TensorFact};
use super::graph::{Graph, Packing, Var};

/// The input `[T]` (i64) with the place of each token among the `B·L`.
pub const TOKENS: &str = "token_places";
/// The input `[B·L]` (i64) with the row of each place among the `T`. Those of padding may be any,
/// as nothing is made of them.
pub const PLACES: &str = "place_rows";

/// The name of the number of rows where those of padding are left out.
pub const ROWS: &str = "T";

/// The names of a packing's inputs, and of their sizes.
#[derive(Clone, Copy, Debug)]
pub struct PackingNames {
    pub tokens: &'static str,
    pub places: &'static str,
    /// Those of the rows and of the places.
    pub sizes: [&'static str; 2],
}

/// The names of a network's own packing.
pub const WHOLE_TEXTS: PackingNames =
    PackingNames { tokens: TOKENS, places: PLACES, sizes: [ROWS, "B·L"] };

impl Graph {
    /// Leaves the rows of padding out from here on.
    pub fn pack(&mut self, names: &PackingNames) {
        let input = |size| TensorFact::i64(vec![Dim::Named(size)]);
        let [rows, places] = names.sizes;
        let tokens = self.input(names.tokens, input(rows));
        let places = self.input(names.places, input(places));
        self.packing = Some(Packing { tokens, places });
    }

    /// What belongs to the places `[B·L, ...]`, as rows `[T, ...]`.
    pub fn of_tokens(&mut self, places: Var) -> Result<Var, ShapeError> {
        match self.packing {
            Some(Packing { tokens, .. }) => self.gather(places, tokens),
            None => Ok(places),
        }
    }

    /// Rows `[T, H]`, as what belongs to the places `[B·L, H]`.
    pub fn of_places(&mut self, rows: Var) -> Result<Var, ShapeError> {
        match self.packing {
            Some(Packing { places, .. }) => self.gather(rows, places),
            None => Ok(rows),
        }
    }

    /// Rows `[T, H]` by text: `[B, L, H]` for a mask `[B, L]`.
    pub fn by_text(&mut self, rows: Var, mask: Var) -> Result<Var, ShapeError> {
        let places = self.of_places(rows)?;
        self.split_rows(places, mask)
    }
}
