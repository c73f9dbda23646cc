//! Counts of hard decisions by class, from which all metrics of decisions follow.

use super::row::Row;

/// Three counts for each of K classes: the two margins of the confusion matrix and its diagonal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    hits: Vec<u64>,
    support: Vec<u64>,
    predicted: Vec<u64>,
}

impl Counts {
    /// Counts the rows of `classes` declared classes.
    pub fn of(classes: usize, rows: &[Row<'_>]) -> Counts {
        let mut counts = Counts::none(classes);
        rows.iter().for_each(|row| counts.add(row.label, row.prediction, 1));
        counts
    }

    /// Returns the counts without rows.
    pub fn none(classes: usize) -> Counts {
        Counts { hits: vec![0; classes], support: vec![0; classes], predicted: vec![0; classes] }
    }

    /// Adds a number of equal rows.
    pub fn add(&mut self, label: usize, prediction: usize, rows: u64) {
        self.support[label] += rows;
        self.predicted[prediction] += rows;
        if label == prediction {
            self.hits[label] += rows;
        }
    }

    /// Returns K.
    pub fn classes(&self) -> usize {
        self.hits.len()
    }

    /// Returns N.
    pub fn total(&self) -> u64 {
        self.support.iter().sum()
    }

    /// Returns the number of correctly predicted rows.
    pub fn right(&self) -> u64 {
        self.hits.iter().sum()
    }

    /// Returns the number of correctly predicted rows of a class.
    pub fn hits(&self, class: usize) -> u64 {
        self.hits[class]
    }

    /// Returns the number of rows with this true class.
    pub fn support(&self, class: usize) -> u64 {
        self.support[class]
    }

    /// Returns the number of rows predicted to be of this class.
    pub fn predicted(&self, class: usize) -> u64 {
        self.predicted[class]
    }
}

/// Returns a / b, and 0 for 0 / 0, like scikit-learn's `zero_division=0`.
pub(super) fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}
