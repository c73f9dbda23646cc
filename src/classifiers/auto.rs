//! The classifier that does best out of fold.

use ndarray::Array2;

use super::choose::{GRID, c_by_folds, least};
use super::error::ClassifierError;
use super::folds::{judging, out_of_fold};
use super::lda::{Lda, Prior, Shrinkage};
use super::logistic_regression;
use super::numeric::score::{Score, score};
use super::points::{Linear, Points};
use super::prototypes::Prototypes;
use super::temperature;

/// A kind of classifier, simplest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Prototypes,
    LogisticRegression,
    Lda,
}

impl Kind {
    /// All kinds, simplest first.
    pub const ALL: [Kind; 3] = [Kind::Prototypes, Kind::LogisticRegression, Kind::Lda];

    /// Returns its name as pipelines write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Prototypes => "prototypes",
            Kind::LogisticRegression => "logistic_regression",
            Kind::Lda => "lda",
        }
    }
}

/// A kind of classifier and how well it does out of fold.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub kind: Kind,
    /// The C that folds chose, for logistic regression.
    pub c: Option<f64>,
    /// The temperature by which the logits out of fold fit best.
    pub temperature: f64,
    /// The score of the logits out of fold, divided by the temperature.
    pub score: Score,
    /// The logits out of fold before they are divided: `[N, K]`.
    pub logits: Array2<f64>,
}

impl Candidate {
    /// Fits the classifier to all points, and divides its logits by the temperature.
    ///
    /// # Errors
    ///
    /// As for the fits of its kind.
    pub fn fit(&self, points: &Points<'_>) -> Result<Linear, ClassifierError> {
        let linear = match self.c {
            Some(c) => logistic_regression::fit(points, c)?,
            None => fit(self.kind, points)?,
        };
        Ok(linear.tempered(self.temperature))
    }
}

/// Candidates, and the best of them.
#[derive(Clone, Debug)]
pub struct Auto {
    /// Simplest first. LDA is missing where the points of each class are all the same.
    pub candidates: Vec<Candidate>,
    /// The place of the chosen one.
    pub chosen: usize,
}

impl Auto {
    /// Compares all kinds by their logits out of fold. Each is judged at its best temperature, by
    /// the mean negative log-likelihood; of equal ones the simpler is taken. The figures flatter a
    /// little, as C, temperature and kind are chosen by the folds that score them.
    ///
    /// # Errors
    ///
    /// Refuses what [`super::out_of_fold`] refuses.
    pub fn of(points: &Points<'_>, folds: &[usize]) -> Result<Auto, ClassifierError> {
        let mut candidates = Vec::new();
        for kind in Kind::ALL {
            match candidate(kind, points, folds) {
                Ok(candidate) => candidates.push(candidate),
                Err(ClassifierError::Flat | ClassifierError::Singular { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let chosen = least(candidates.iter().map(|candidate| candidate.score.nll));
        Ok(Auto { candidates, chosen })
    }

    /// Returns the best candidate.
    pub fn best(&self) -> Option<&Candidate> {
        self.candidates.get(self.chosen)
    }
}

fn candidate(
    kind: Kind,
    points: &Points<'_>,
    folds: &[usize],
) -> Result<Candidate, ClassifierError> {
    let (c, logits) = match kind {
        Kind::LogisticRegression => {
            let choice = c_by_folds(points, folds, &GRID)?;
            (Some(choice.c), choice.logits)
        }
        _ => (None, out_of_fold(points, folds, |part| fit(kind, &part))?),
    };
    let weights = judging(points.weights, folds);
    let weights = weights.as_deref();
    let temperature = temperature::fit_weighted(logits.view(), points.labels, weights);
    let tempered = &logits / temperature;
    let score = score(tempered.view(), points.labels, weights);
    Ok(Candidate { kind, c, temperature, score, logits })
}

/// Fits a kind with its own settings; logistic regression with C = 1.
fn fit(kind: Kind, points: &Points<'_>) -> Result<Linear, ClassifierError> {
    match kind {
        Kind::Prototypes => Ok(Prototypes::fit(points, None)?.linear()),
        Kind::LogisticRegression => logistic_regression::fit(points, 1.0),
        Kind::Lda => Ok(Lda::fit(points, Shrinkage::LedoitWolf, Prior::Counts)?.linear),
    }
}
