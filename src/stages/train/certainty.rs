//! How sure a model is of texts, by passes under dropout (Mukherjee and Awadallah 2020, arXiv
//! 2006.15315).
//!
//! Dimensions: `N` texts, `K` classes.

use ndarray::{Array2, ArrayView2};

use crate::classifiers::log_probabilities;
use crate::metrics::argmax;

/// Keeps the logarithm of a variance of 0 finite, as microsoft/UST does.
const LEAST: f64 = 1e-10;

/// How sure a model is of each of N texts, in single precision, in which it is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Certainty {
    /// What the passes disagree by: BALD, the entropy of the mean probabilities less the mean
    /// entropy, in nats; 0 where all passes say the same.
    pub bald: Vec<f32>,
    /// The variance, over the passes, of the probability of the class that the model predicts.
    pub variance: Vec<f32>,
}

/// Sums over passes.
pub struct Passes {
    /// The class that the model predicts without dropout: `[N]`.
    predicted: Vec<usize>,
    count: f64,
    /// Probabilities `[N, K]`.
    sums: Array2<f64>,
    entropies: Vec<f64>,
    /// The mean and the sum of squared deviations of the predicted class's probability, each `[N]`.
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Certainty {
    /// Returns what is known of some of the texts, from one place on.
    pub fn from(&self, place: usize) -> Certainty {
        let rest = |values: &[f32]| values.get(place..).unwrap_or_default().to_vec();
        Certainty { bald: rest(&self.bald), variance: rest(&self.variance) }
    }

    /// Returns how easy each text is to tell: 1 − BALD, or 0 where that is less.
    pub fn easiness(&self) -> Vec<f64> {
        self.bald.iter().map(|&bald| (1.0 - f64::from(bald)).max(0.0)).collect()
    }

    /// Returns the weights of texts in the loss: log(1/variance), of mean 1. The paper scales them
    /// by a factor instead, and so does microsoft/UST, which takes the variance of the first class
    /// where the paper has that of the predicted one. A variance of probabilities is at most 1/4,
    /// so that no weight is negative.
    pub fn weights(&self, places: &[usize]) -> Vec<f64> {
        let raw = |&place: &usize| -(f64::from(self.variance[place]) + LEAST).ln();
        let raw: Vec<f64> = places.iter().map(raw).collect();
        let mean = raw.iter().sum::<f64>() / raw.len().max(1) as f64;
        raw.into_iter().map(|weight| weight / mean).collect()
    }
}

impl Passes {
    /// Begins with the logits `[N, K]` without dropout.
    pub fn new(logits: &Array2<f32>) -> Passes {
        let predicted = logits.rows().into_iter().map(|row| argmax(&row.to_vec()));
        let texts = logits.nrows();
        Passes {
            predicted: predicted.collect(),
            count: 0.0,
            sums: Array2::zeros(logits.raw_dim()),
            entropies: vec![0.0; texts],
            means: vec![0.0; texts],
            squares: vec![0.0; texts],
        }
    }

    /// Adds the logits `[N, K]` of one pass.
    pub fn add(&mut self, logits: ArrayView2<'_, f64>) {
        self.count += 1.0;
        let logs = log_probabilities(logits);
        for (text, row) in logs.rows().into_iter().enumerate() {
            self.entropies[text] += entropy_of(row.iter().map(|log| (log.exp(), *log)));
            // Welford's update of mean and squares.
            let value = row[self.predicted[text]].exp();
            let apart = value - self.means[text];
            self.means[text] += apart / self.count;
            self.squares[text] += apart * (value - self.means[text]);
        }
        self.sums += &logs.mapv_into(f64::exp);
    }

    /// Returns how sure the model is; without a pass, of everything.
    pub fn certainty(self) -> Certainty {
        let count = self.count.max(1.0);
        let bald = |(row, entropies): (ndarray::ArrayView1<'_, f64>, &f64)| {
            let means = row.iter().map(|sum| sum / count);
            let of_mean = entropy_of(means.map(|mean| (mean, mean.ln())));
            // Rounding may leave less than nothing.
            (of_mean - entropies / count).max(0.0) as f32
        };
        Certainty {
            bald: self.sums.rows().into_iter().zip(&self.entropies).map(bald).collect(),
            variance: self.squares.iter().map(|squares| (squares / count) as f32).collect(),
        }
    }
}

/// Returns −Σ p·log p; what has no share adds nothing.
fn entropy_of(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    -shares.filter(|(share, _)| *share > 0.0).map(|(share, log)| share * log).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    #[derive(Deserialize)]
    struct Recorded {
        certainties: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        /// Of the prediction, then of each pass: `[T, N, K]`.
        plain: Vec<Vec<f64>>,
        passes: Vec<Vec<Vec<f64>>>,
        bald: Vec<f64>,
        variance: Vec<f64>,
        weights: Vec<f64>,
    }

    fn matrix(rows: &[Vec<f64>]) -> Array2<f64> {
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, class)| rows[row][class])
    }

    /// tests/record_unlabelled.py has taken them with NumPy, by the formulas of microsoft/UST.
    #[test]
    fn what_passes_say_is_numpys() -> Tested {
        let recorded: Recorded =
            serde_json::from_str(include_str!("../../../tests/data/unlabelled.json"))?;
        assert!(recorded.certainties.len() > 2);
        for case in recorded.certainties {
            let mut passes = Passes::new(&matrix(&case.plain).mapv(|logit| logit as f32));
            case.passes.iter().for_each(|rows| passes.add(matrix(rows).view()));
            let found = passes.certainty();
            let all: Vec<usize> = (0..case.bald.len()).collect();
            let weights = found.weights(&all);
            for text in all {
                let near = |found: f64, expected: f64| (found - expected).abs() < 1e-6;
                assert!(near(f64::from(found.bald[text]), case.bald[text]), "{found:?}");
                assert!(near(f64::from(found.variance[text]), case.variance[text]), "{found:?}");
                assert!((weights[text] / case.weights[text] - 1.0).abs() < 1e-4, "{weights:?}");
            }
            let mean = weights.iter().sum::<f64>() / weights.len() as f64;
            assert!((mean - 1.0).abs() < 1e-12 && weights.iter().all(|weight| *weight > 0.0));
        }
        Ok(())
    }

    #[test]
    fn passes_that_agree_are_sure() {
        let logits = Array2::from_shape_vec((1, 3), vec![4.0, -900.0, 1.0]).unwrap_or_default();
        let mut passes = Passes::new(&logits.mapv(|logit: f64| logit as f32));
        (0..5).for_each(|_| passes.add(logits.view()));
        let found = passes.certainty();
        assert_eq!(found, Certainty { bald: vec![0.0], variance: vec![0.0] });
        assert_eq!((found.easiness(), found.weights(&[0])), (vec![1.0], vec![1.0]));
    }
}
