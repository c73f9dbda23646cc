//! What a model says of texts.

use ndarray::Array2;

use crate::metrics::argmax;
use crate::stages::StageError;
use crate::stages::inference::predict::probabilities;

/// What a model says of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The likeliest class.
    pub label: String,
    /// Its number.
    pub class: usize,
    /// The probability of every class, in the order of the labels; they add up to 1.
    pub probabilities: Vec<f32>,
}

impl Answer {
    /// Returns the probability of the likeliest class.
    pub fn probability(&self) -> f32 {
        self.probabilities[self.class]
    }

    /// Returns the classes by falling probability; of equal ones, the first comes first.
    pub fn ranked(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.probabilities.len()).collect();
        classes
            .sort_by(|&one, &other| self.probabilities[other].total_cmp(&self.probabilities[one]));
        classes
    }
}

/// A model that gives no numbers.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the model gives no probabilities for the text `{text}`: NaN or infinite values")]
#[diagnostic(help("its weights may be damaged; fetch or train it again"))]
pub struct NoNumbers {
    pub text: String,
}

/// A model whose head is for another number of classes than its labels.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the model gives {found} numbers for a text, and has {labels} labels")]
#[diagnostic(help("config.json and the weights belong to different models; export it again"))]
pub struct OtherWidth {
    pub found: usize,
    pub labels: usize,
}

/// Returns what logits `[N, K]` say of texts.
pub(super) fn answers(
    logits: &Array2<f32>,
    labels: &[String],
    texts: &[&str],
) -> Result<Vec<Answer>, StageError> {
    if logits.ncols() != labels.len() {
        return Err(Box::new(OtherWidth { found: logits.ncols(), labels: labels.len() }));
    }
    let answer = |(probabilities, text): (Vec<f32>, &&str)| {
        if probabilities.iter().any(|value| !value.is_finite()) {
            return Err(Box::new(NoNumbers { text: text.chars().take(40).collect() }) as StageError);
        }
        let class = argmax(&probabilities);
        Ok(Answer { label: labels[class].clone(), class, probabilities })
    };
    probabilities(logits).into_iter().zip(texts).map(answer).collect()
}
