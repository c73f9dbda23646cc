//! What a metric is: a name, a direction, a range, and how it is computed.

use super::binned::Binned;
use super::counts::Counts;
use super::ranking::Ranking;
use super::row::Row;

/// The direction in which a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Maximize,
    Minimize,
}

/// A metric that is a single number for any classes.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub goal: Goal,
    /// The smallest and the largest possible value.
    pub range: (f64, f64),
    pub of: Of,
}

/// How often the row with this index counts.
pub type Weight<'a> = &'a dyn Fn(usize) -> u64;

/// The computation of a metric, by the input that it needs. `None` stands for an undefined value.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// From the counts of decisions.
    Counts(fn(&Counts) -> Option<f64>),
    /// The mean over rows of this value.
    Mean(fn(&Row<'_>) -> f64),
    /// From the rows ranked by each class's probability.
    Ranking(fn(&Ranking, Weight<'_>) -> Option<f64>),
    /// From the rows binned by confidence.
    Bins(fn(&Binned, Weight<'_>) -> f64),
}

/// A metric of a single class, named `<name>/<class>`.
#[derive(Debug)]
pub struct ClassMetric {
    pub name: &'static str,
    /// Computes the metric from the counts of decisions, for the class with this index.
    pub of: fn(&Counts, usize) -> f64,
}

impl Metric {
    /// Returns whether smaller values are better.
    pub fn less_is_better(&self) -> bool {
        self.goal == Goal::Minimize
    }

    /// Returns whether the metric uses probabilities. All others use decisions only, so that rows
    /// with the same label and prediction are interchangeable.
    pub fn reads_probabilities(&self) -> bool {
        !matches!(self.of, Of::Counts(_))
    }
}
