//! The input of metrics.

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

/// Returns the class of the largest probability, the first of equal ones, like NumPy's `argmax`.
pub fn argmax(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (class, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_probabilities_is_predicted() {
        assert_eq!(argmax(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(argmax(&[0.5, 0.5]), 0);
        assert_eq!(argmax(&[0.0, 0.0, 1.0]), 2);
    }
}
