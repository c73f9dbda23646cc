//! The fit: one covariance for all classes.
//!
//! Σ = ((1−λ)·SS + λ·(tr SS/E)·I)/(N − K), where SS is the scatter of the points around the means
//! of their classes. λ is Ledoit and Wolf's for these residuals together, or another.
//!
//! scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")` is another
//! estimate: it standardises and shrinks each class by itself and averages, with N in place of
//! N − K.

use ndarray::{Array1, Array2};

use super::leave_one_out::LeftOut;
use super::priors::{Prior, Priors};
use super::scatter::Scatter;
use crate::classifiers::choose::least;
use crate::classifiers::error::ClassifierError;
use crate::classifiers::numeric::cholesky::Cholesky;
use crate::classifiers::numeric::score::score;
use crate::classifiers::points::{Linear, Points};

/// What λ is tried beside Ledoit and Wolf's, in that order.
const TRIED: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// How far the covariance is shrunk to a multiple of the identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shrinkage {
    /// Ledoit and Wolf's λ.
    LedoitWolf,
    /// A λ from 0 to 1.
    Given(f64),
    /// Of Ledoit and Wolf's λ and 0.1, 0.2, … 0.9, the one with the least leave-one-out negative
    /// log-likelihood.
    LeaveOneOut,
}

/// A fitted LDA.
#[derive(Clone, Debug, PartialEq)]
pub struct Lda {
    /// W = Σ⁻¹μ, b_c = −½μ_cᵀΣ⁻¹μ_c + log π_c.
    pub linear: Linear,
    /// The λ that was used.
    pub shrinkage: f64,
}

impl Lda {
    /// Fits LDA to points. With clearly fewer points than numbers it works in their span, so that
    /// no matrix is larger than `[N, N]`.
    ///
    /// # Errors
    ///
    /// Refuses points that [`Points::check`] refuses, points that do not differ within their
    /// classes, a λ outside 0 to 1 or too small for so few points, a bad prior and, with
    /// [`Shrinkage::LeaveOneOut`], a class with a single point.
    pub fn fit(
        points: &Points<'_>,
        shrinkage: Shrinkage,
        prior: Prior<'_>,
    ) -> Result<Lda, ClassifierError> {
        points.check()?;
        let priors = Priors::of(points, prior)?;
        let scatter = Scatter::of(points)?;
        let lambda = match shrinkage {
            Shrinkage::LedoitWolf => scatter.ledoit_wolf(),
            Shrinkage::Given(lambda) => within(lambda)?,
            Shrinkage::LeaveOneOut => chosen(points, &scatter, &priors)?,
        };
        let linear = linear(points, &scatter, lambda, &priors)?;
        Ok(Lda { linear, shrinkage: lambda })
    }
}

/// Returns the logits `[N, K]` of each point by the fit to all others, exactly: with its own class
/// means, covariance, tr SS, N and prior. λ alone stays as given, so leave-one-out with Ledoit and
/// Wolf's λ of all points is not a fit that estimates λ anew.
///
/// # Errors
///
/// As for [`Lda::fit`], and refuses a class with a single point.
pub fn leave_one_out(
    points: &Points<'_>,
    shrinkage: f64,
    prior: Prior<'_>,
) -> Result<Array2<f64>, ClassifierError> {
    points.check()?;
    let priors = Priors::of(points, prior)?;
    let scatter = Scatter::of(points)?;
    LeftOut::of(points, &scatter)?.logits(within(shrinkage)?, &priors)
}

fn within(lambda: f64) -> Result<f64, ClassifierError> {
    match (0.0..=1.0).contains(&lambda) {
        true => Ok(lambda),
        false => {
            let (name, expected) = ("shrinkage", "a number from 0 to 1");
            Err(ClassifierError::Setting { name, value: lambda, expected })
        }
    }
}

fn chosen(points: &Points<'_>, scatter: &Scatter, priors: &Priors) -> Result<f64, ClassifierError> {
    let left_out = LeftOut::of(points, scatter)?;
    let mut tried = vec![scatter.ledoit_wolf()];
    tried.extend(TRIED);
    let mut losses = Vec::with_capacity(tried.len());
    for &lambda in &tried {
        losses.push(match left_out.logits(lambda, priors) {
            Ok(logits) => score(logits.view(), points.labels, points.weights).nll,
            // Another λ may do.
            Err(ClassifierError::Singular { .. }) => f64::INFINITY,
            Err(error) => return Err(error),
        });
    }
    Ok(tried[least(losses.into_iter())])
}

fn linear(
    points: &Points<'_>,
    scatter: &Scatter,
    lambda: f64,
    priors: &Priors,
) -> Result<Linear, ClassifierError> {
    // The scatter is not flat, so that some class has two points and N > K.
    let freedom = (points.labels.len() - points.classes) as f64;
    let mut covariance = &scatter.matrix * ((1.0 - lambda) / freedom);
    let target = lambda * scatter.trace / scatter.size / freedom;
    covariance.diag_mut().mapv_inplace(|entry| entry + target);
    let mut solved = scatter.means.t().to_owned();
    let Some(factor) = Cholesky::of(covariance) else {
        return Err(ClassifierError::Singular {
            points: points.labels.len(),
            classes: points.classes,
            size: points.x.ncols(),
        });
    };
    factor.solve(&mut solved); // [r, K]
    let squares = solved.columns().into_iter().zip(scatter.means.rows());
    let bias: Array1<f64> = squares
        .zip(priors.logs(None))
        .map(|((solved, mean), log)| log - solved.dot(&mean) / 2.0)
        .collect();
    Linear { weight: scatter.span.lift(solved.t().to_owned()), bias }.finite()
}
