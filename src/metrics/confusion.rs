//! The confusion matrix.

use super::row::Row;

/// Counts of true by predicted class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion(Vec<Vec<u64>>);

impl Confusion {
    /// Counts the rows of `classes` declared classes.
    pub fn of(classes: usize, rows: &[Row<'_>]) -> Confusion {
        let mut matrix = vec![vec![0; classes]; classes];
        for row in rows {
            matrix[row.label][row.prediction] += 1;
        }
        Confusion(matrix)
    }

    /// Returns the counts: rows are true classes, columns predicted ones.
    pub fn matrix(self) -> Vec<Vec<u64>> {
        self.0
    }
}
