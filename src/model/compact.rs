//! Training on the rows of the word table that occur, with the numbers that training on all rows
//! gives.
//!
//! A row whose token never occurs in training never has a gradient: the optimizer does nothing but
//! decay it. So the rows that occur are trained as a table of their own, and the others get their
//! decay at the end, in the same single-precision operations that the optimizer would have done.

use std::collections::BTreeSet;

use ndarray::{ArrayD, Axis};

/// The rows of a vocabulary that occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactVocabulary {
    /// The token ids that occur, in rising order; a compact id is a place in this list.
    ids: Vec<u32>,
}

impl CompactVocabulary {
    /// Collects the token ids that occur.
    pub fn new(tokens: impl IntoIterator<Item = u32>) -> CompactVocabulary {
        let ids: BTreeSet<u32> = tokens.into_iter().collect();
        CompactVocabulary { ids: ids.into_iter().collect() }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether no token occurs.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the compact id of a token that occurs.
    pub fn compact(&self, id: u32) -> Option<u32> {
        self.ids.binary_search(&id).ok().map(|place| place as u32)
    }

    /// Returns the rows of `table` `[V, H]` that occur, `[len, H]`.
    pub fn select(&self, table: &ArrayD<f32>) -> ArrayD<f32> {
        let rows: Vec<usize> = self.ids.iter().map(|&id| id as usize).collect();
        table.select(Axis(0), &rows)
    }

    /// Returns the whole table after training: `rows` where tokens occur, elsewhere the rows of
    /// `table` after `decay_unused_rows`.
    pub fn merge(
        &self,
        mut table: ArrayD<f32>,
        rows: &ArrayD<f32>,
        decay_unused_rows: impl Fn(&mut [f32]),
    ) -> ArrayD<f32> {
        let mut next = 0;
        for (id, mut row) in table.axis_iter_mut(Axis(0)).enumerate() {
            if self.ids.get(next).is_some_and(|&occurring| occurring as usize == id) {
                row.assign(&rows.index_axis(Axis(0), next));
                next += 1;
            } else if let Some(row) = row.as_slice_mut() {
                decay_unused_rows(row);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_and_merges_by_token() -> Result<(), ndarray::ShapeError> {
        let table =
            ArrayD::from_shape_vec(vec![4, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])?;
        let compact = CompactVocabulary::new([2, 0, 2]);
        assert_eq!((compact.len(), compact.compact(2), compact.compact(1)), (2, Some(1), None));
        let rows = compact.select(&table);
        assert_eq!(rows.as_slice(), Some([0.0, 1.0, 4.0, 5.0].as_slice()));
        let merged = compact
            .merge(table, &(rows + 10.0), |row| row.iter_mut().for_each(|value| *value *= 0.25));
        assert_eq!(
            merged.as_slice(),
            Some([10.0, 11.0, 0.5, 0.75, 14.0, 15.0, 1.5, 1.75].as_slice())
        );
        Ok(())
    }
}
