//! Other shares of the classes than those of the training points.

use ndarray::ArrayView2;

use super::error::ClassifierError;
use super::numeric::score::log_probabilities;

/// How far the sum of shares may be from 1.
const SUM: f64 = 1e-6;
/// The share that stands for none, so that no logit is infinite.
const LEAST: f64 = 1e-12;
/// The estimate ends when no share changes by more, or after so many rounds.
const CHANGE: f64 = 1e-6;
const ROUNDS: usize = 1000;

/// Returns the shift of each logit for which p'(c|x) ∝ p(c|x)·to_c/from_c: log(to_c/from_c). A
/// share of 0 in `to` counts as 1e-12.
///
/// # Errors
///
/// Refuses shares that are negative, or whose sum is not 1; in `from` also a share of 0.
pub fn shift(from: &[f64], to: &[f64]) -> Result<Vec<f64>, ClassifierError> {
    check_trained(from)?;
    check(to, from.len())?;
    Ok(from.iter().zip(to).map(|(from, to)| (to.max(LEAST) / from).ln()).collect())
}

/// Estimates the shares of the classes among points without labels, from their logits `[N, K]`
/// under the shares `trained` (the EM algorithm of Saerens, Latinne & Decaestecker 2002, equation
/// 2.9), until no share changes by more than 1e-6, or for 1000 rounds. Without points these are the
/// trained shares.
///
/// # Errors
///
/// Refuses trained shares that are not positive with the sum 1, or are not one for each class, and
/// logits that are not finite.
pub fn estimate(logits: ArrayView2<'_, f64>, trained: &[f64]) -> Result<Vec<f64>, ClassifierError> {
    check_trained(trained)?;
    if trained.len() != logits.ncols() {
        let (found, classes) = (trained.len(), logits.ncols());
        return Err(ClassifierError::PriorLength { found, classes });
    }
    let broken = |row: ndarray::ArrayView1<'_, f64>| row.iter().any(|value| !value.is_finite());
    if let Some(point) = logits.rows().into_iter().position(broken) {
        return Err(ClassifierError::NotFinite { point });
    }
    if logits.nrows() == 0 {
        return Ok(trained.to_vec());
    }
    let probabilities = log_probabilities(logits).mapv_into(f64::exp);
    let mut shares = trained.to_vec();
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; shares.len()];
        for row in probabilities.rows() {
            let joint: Vec<f64> =
                row.iter().zip(&shares).zip(trained).map(|((p, new), old)| p * new / old).collect();
            let sum: f64 = joint.iter().sum();
            if sum > 0.0 {
                next.iter_mut().zip(joint).for_each(|(next, part)| *next += part / sum);
            }
        }
        let sum: f64 = next.iter().sum();
        if sum <= 0.0 {
            break;
        }
        next.iter_mut().for_each(|share| *share /= sum);
        let change =
            shares.iter().zip(&next).fold(0.0, |most: f64, (old, new)| most.max((new - old).abs()));
        shares = next;
        if change <= CHANGE {
            break;
        }
    }
    Ok(shares)
}

/// Checks given shares of `classes` classes: none negative, the sum 1.
///
/// # Errors
///
/// Says the first that is wrong.
pub fn check(shares: &[f64], classes: usize) -> Result<(), ClassifierError> {
    if shares.len() != classes {
        return Err(ClassifierError::PriorLength { found: shares.len(), classes });
    }
    let is_share = |share: f64| share.is_finite() && share >= 0.0;
    if let Some(class) = shares.iter().position(|&share| !is_share(share)) {
        let (share, expected) = (shares[class], "a number from 0 to 1");
        return Err(ClassifierError::PriorShare { class, share, expected });
    }
    let sum: f64 = shares.iter().sum();
    match (sum - 1.0).abs() <= SUM {
        true => Ok(()),
        false => Err(ClassifierError::PriorSum { sum }),
    }
}

fn check_trained(shares: &[f64]) -> Result<(), ClassifierError> {
    check(shares, shares.len())?;
    match shares.iter().position(|&share| share <= 0.0) {
        Some(class) => {
            let (share, expected) = (shares[class], "more than 0, as every class was trained");
            Err(ClassifierError::PriorShare { class, share, expected })
        }
        None => Ok(()),
    }
}
