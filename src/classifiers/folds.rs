//! Stratified folds, and the logits of points by fits that have not seen them.

use ndarray::Array2;
use rand::Rng;
use rand::seq::SliceRandom;

use super::error::ClassifierError;
use super::points::{Linear, Part, Points, counts};

/// How many folds choices are made with, if the classes are large enough.
pub const FOLDS: usize = 4;

/// The fold of a point that is in none: every fit learns from it, and it judges none.
pub const NONE: usize = usize::MAX;

/// Returns how much each point counts where fits are judged: those in no fold count 0. `None` if
/// all count 1.
pub fn judging(weights: Option<&[f64]>, folds: &[usize]) -> Option<Vec<f64>> {
    if folds.iter().all(|&fold| fold != NONE) {
        return weights.map(<[f64]>::to_vec);
    }
    let weight = |(point, &fold): (usize, &usize)| match fold {
        NONE => 0.0,
        _ => weights.map_or(1.0, |weights| weights[point]),
    };
    Some(folds.iter().enumerate().map(weight).collect())
}

/// Returns the most folds of which every one can have a point of each class: the size of the
/// smallest class.
pub fn most(labels: &[usize], classes: usize) -> usize {
    counts(labels, classes).into_iter().min().unwrap_or(0)
}

/// Returns the number of folds of points, given the fold of each.
pub fn count(folds: &[usize]) -> usize {
    folds.iter().filter(|fold| **fold != NONE).max().map_or(0, |most| most + 1)
}

/// Returns the fold of each point, from 0. The points of each class are shuffled and dealt out
/// where those of the class before ended. So the folds differ by at most one point, in whole and
/// in each class, and each fit without a fold has seen every class.
///
/// # Errors
///
/// Refuses labels beyond the classes, a class with fewer than two points, fewer than two folds, and
/// more folds than [`most`].
pub fn stratified(
    labels: &[usize],
    classes: usize,
    folds: usize,
    random: &mut dyn Rng,
) -> Result<Vec<usize>, ClassifierError> {
    if let Some(point) = labels.iter().position(|&label| label >= classes) {
        let label = labels[point];
        return Err(ClassifierError::UnknownClass { point, label, classes });
    }
    if folds < 2 {
        return Err(ClassifierError::TooFewFolds { folds });
    }
    for (class, count) in counts(labels, classes).into_iter().enumerate() {
        match count {
            0 => return Err(ClassifierError::EmptyClass { class }),
            1 => return Err(ClassifierError::SinglePoint { class }),
            _ if count < folds => {
                return Err(ClassifierError::TooManyFolds { folds, class, count });
            }
            _ => {}
        }
    }
    let mut fold_of = vec![0; labels.len()];
    let mut next = 0;
    for class in 0..classes {
        let mut members: Vec<usize> =
            (0..labels.len()).filter(|&point| labels[point] == class).collect();
        members.shuffle(random);
        for point in members {
            fold_of[point] = next;
            next = (next + 1) % folds;
        }
    }
    Ok(fold_of)
}

/// Returns the logits `[N, K]` of each point by the fit that has not seen its fold; those of points
/// in no fold are 0.
///
/// # Errors
///
/// Refuses points that [`Points::check`] refuses, and folds of another number of points. Passes on
/// what `fit` returns.
pub fn out_of_fold(
    points: &Points<'_>,
    folds: &[usize],
    mut fit: impl FnMut(Points<'_>) -> Result<Linear, ClassifierError>,
) -> Result<Array2<f64>, ClassifierError> {
    let mut all = out_of_folds(points, folds, 1, |points| Ok(vec![fit(points)?]))?;
    all.pop().ok_or(ClassifierError::TooFewFolds { folds: 0 })
}

/// Returns the logits of several fits to each part, `count` of them.
pub(super) fn out_of_folds(
    points: &Points<'_>,
    folds: &[usize],
    count: usize,
    mut fit: impl FnMut(Points<'_>) -> Result<Vec<Linear>, ClassifierError>,
) -> Result<Vec<Array2<f64>>, ClassifierError> {
    points.check()?;
    let n = points.labels.len();
    if folds.len() != n {
        let (points, found, what) = (n, folds.len(), "folds");
        return Err(ClassifierError::Lengths { points, found, what });
    }
    let mut judging = folds.iter().filter(|fold| **fold != NONE);
    let last = judging.clone().copied().max().unwrap_or(0);
    if judging.all(|&fold| fold == last) {
        return Err(ClassifierError::TooFewFolds { folds: 1 });
    }
    let mut logits = vec![Array2::zeros((n, points.classes)); count];
    // Numbers that no point has are passed over.
    for fold in 0..=last {
        let (held, seen): (Vec<usize>, Vec<usize>) = (0..n).partition(|&at| folds[at] == fold);
        if held.is_empty() {
            continue;
        }
        let fits = fit(Part::of(points, &seen).points())?;
        let left_out = Part::of(points, &held);
        for (logits, linear) in logits.iter_mut().zip(fits) {
            let found = linear.logits(left_out.points().x);
            for (&point, row) in held.iter().zip(found.rows()) {
                logits.row_mut(point).assign(&row);
            }
        }
    }
    Ok(logits)
}
