//! The confusion matrix, from which every metric of hard decisions follows.

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

    /// Returns K.
    pub fn classes(&self) -> usize {
        self.0.len()
    }

    /// Returns N.
    pub fn total(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    /// Returns how many rows were predicted right.
    pub fn right(&self) -> u64 {
        (0..self.classes()).map(|class| self.hits(class)).sum()
    }

    /// Returns how many rows of a class were predicted right.
    pub fn hits(&self, class: usize) -> u64 {
        self.0[class][class]
    }

    /// Returns how many rows have this true class.
    pub fn support(&self, class: usize) -> u64 {
        self.0[class].iter().sum()
    }

    /// Returns how many rows were predicted to be of this class.
    pub fn predicted(&self, class: usize) -> u64 {
        self.0.iter().map(|counts| counts[class]).sum()
    }
}

/// Returns a / b, and 0 for 0 / 0, as scikit-learn's `zero_division=0`.
pub(super) fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}
