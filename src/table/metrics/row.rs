//! What metrics are computed from.

/// One prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The true class, below K.
    pub label: usize,
    /// The predicted class, below K.
    pub prediction: usize,
    /// `[K]`, the probability of every class.
    pub probabilities: &'a [f32],
}
