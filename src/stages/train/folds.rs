//! Predictions of train texts by models that have not seen them.

use ndarray::Array2;

use super::error::TrainError;
use super::head::fit::{folds_of, named};
use super::method::contract::{Cost, Learner, Work};
use super::stand_in::{Answer, StandIn};
use crate::base::clock::Stopwatch;
use crate::classifiers::folds::{self, FOLDS};
use crate::data::{DataSet, Example, Split};
use crate::stages::contract::error::StageError;

/// The texts of each class that are left without a fold, of which a head can be chosen.
const LEFT: usize = 2;

/// Returns the fold of each train text.
///
/// # Errors
///
/// Fails where a class has too few texts, where texts were generated, since what has made them has
/// seen all of train, and where the pretrained model has learnt from the texts.
pub fn assign(work: &Work<'_>, asked: Option<usize>) -> Result<Vec<usize>, StageError> {
    let Work { ctx, data, learnt, .. } = *work;
    let train = &data.splits.train;
    if train.iter().any(|text| !text.is_original()) {
        return Err(Box::new(TrainError::GeneratedFolds));
    }
    let is_seen =
        |text: &&Example| learnt.as_what(&text.text.joined(), Split::Dev) == Some(Split::Train);
    let count = train.iter().filter(is_seen).count();
    if count > 0 {
        return Err(Box::new(TrainError::SeenFolds { count, all: train.len() }));
    }
    let classes = data.train_classes();
    let of = |class: usize| classes.iter().filter(|own| **own == class).count();
    let smallest = (0..data.labels().len()).map(of).min().unwrap_or(0);
    let folds = asked.unwrap_or_else(|| FOLDS.min(smallest)).max(2);
    let left = |count: usize| count - count.div_ceil(folds);
    let least = (LEFT..).find(|count| left(*count) >= LEFT).unwrap_or(LEFT);
    let few = (0..data.labels().len()).find(|class| of(*class) < least.max(folds));
    if let Some(class) = few {
        let (label, count) = (data.labels()[class].clone(), of(class));
        let least = least.max(folds);
        return Err(Box::new(TrainError::FewForFolds { label, count, folds, least }));
    }
    let families = judged_with(data);
    let made = folds_of(&classes, &families, data.labels().len(), (Some(folds), ctx.seed()));
    Ok(made.map_err(|error| named(error, data.labels()))?)
}

/// Returns for each train text the place of the original in whose fold it is, as it would tell what
/// that says: itself mostly. A text whose label a model has given, or that was made from all of a
/// class, is in no fold: it is learnt from, and judges nothing.
pub(super) fn judged_with(data: &DataSet) -> Vec<Option<usize>> {
    let train = &data.splits.train;
    let of = |(text, family): (&Example, usize)| {
        let stands_alone = !text.is_original() && text.parents().is_empty();
        (!stands_alone).then_some(family)
    };
    train.iter().zip(data.families()).map(of).collect()
}

/// Returns the logits of every train text by a model that has learnt from the other folds alone.
///
/// # Errors
///
/// Fails where the method does.
pub fn held_out(
    learner: &dyn Learner,
    work: &Work<'_>,
    folds: &[usize],
) -> Result<Answer, StageError> {
    let stopwatch = Stopwatch::start();
    if let Some(logits) = learner.held_out(work, folds)? {
        let cost = Cost { encodings: 0, seconds: stopwatch.seconds() };
        return Ok(Answer { logits, certainty: None, cost });
    }
    let train = &work.data.splits.train;
    let logits = Array2::zeros((folds.len(), work.data.labels().len()));
    let mut all = Answer { logits, certainty: None, cost: Cost::default() };
    let count = folds::count(folds);
    for fold in 0..count {
        work.ctx.note(&format!("{}: fold {} of {count}", learner.name(), fold + 1));
        let (held, others) = parted(folds, fold);
        let weights = work.weights.map(|all| others.iter().map(|&text| all[text]).collect());
        let stand_in = StandIn {
            learner,
            work,
            train: others.iter().map(|&text| train[text].clone()).collect(),
            weights,
            dev: &[],
            asked: held.iter().map(|&text| train[text].text.first.as_str()).collect(),
            passes: None,
            warns: true,
        };
        let found = stand_in.answer()?;
        for (row, text) in found.logits.rows().into_iter().zip(held) {
            all.logits.row_mut(text).assign(&row);
        }
        all.cost += found.cost;
    }
    Ok(all)
}

/// Returns the places of the texts of a fold, and those of the others.
pub(super) fn parted(folds: &[usize], fold: usize) -> (Vec<usize>, Vec<usize>) {
    (0..folds.len()).partition(|&text| folds[text] == fold)
}
