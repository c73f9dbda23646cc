//! The figures by which the trials of a sweep are judged: one number of one stage.

use std::path::Path;

use super::config::StageConfig;
use super::contract::error::StageError;
use super::evaluate::Summary;
use super::train::trained_model;
use crate::data::curves::CurvePoint;
use crate::data::{Curves, Split};
use crate::metrics::{self, NAMES, OF_A_CLASS};

/// A figure of an epoch, and how it is read off the curve.
type OfEpoch = (&'static str, fn(&CurvePoint) -> Option<f64>);

/// What `train` gives of the epoch whose weights it keeps.
const OF_TRAINING: [OfEpoch; 3] = [
    ("dev_macro_f1", |point| point.dev_macro_f1),
    ("dev_accuracy", |point| point.dev_accuracy),
    ("dev_loss", |point| point.dev_loss),
];

/// Lists the figures that a stage gives, those of single classes left out.
pub fn names(stage: &StageConfig) -> Vec<&'static str> {
    match stage {
        StageConfig::Evaluate(_) => NAMES.to_vec(),
        StageConfig::Train(_) => OF_TRAINING.iter().map(|(name, _)| *name).collect(),
        StageConfig::Load(_) | StageConfig::Augment(_) => Vec::new(),
    }
}

/// Says whether a stage gives a figure. Which classes there are is not known before the data is
/// read.
pub fn has(stage: &StageConfig, name: &str) -> bool {
    let of_a_class =
        || OF_A_CLASS.iter().any(|start| name.len() > start.len() && name.starts_with(start));
    names(stage).contains(&name) || (matches!(stage, StageConfig::Evaluate(_)) && of_a_class())
}

/// Says whether less of a figure is better.
pub fn less_is_better(name: &str) -> bool {
    name == "dev_loss" || metrics::less_is_better(name)
}

/// Returns the split that a stage's figures are of.
pub fn split(stage: &StageConfig) -> Option<Split> {
    match stage {
        StageConfig::Evaluate(evaluate) => Some(evaluate.split),
        StageConfig::Train(_) => Some(Split::Dev),
        StageConfig::Load(_) | StageConfig::Augment(_) => None,
    }
}

/// Reads a figure from the folder of a stage's output; `None` where it is undefined.
pub fn read(stage: &StageConfig, folder: &Path, name: &str) -> Result<Option<f64>, StageError> {
    match stage {
        StageConfig::Evaluate(_) => Ok(Summary::read(folder)?.metrics.get(name).copied()),
        StageConfig::Train(_) => {
            let kept = trained_model::best_epoch(folder)?;
            let curves = Curves::read(folder)?;
            let of_epoch = |point: &&CurvePoint| {
                kept.is_none_or(|epoch| point.epoch == epoch) && point.dev_loss.is_some()
            };
            let point = curves.0.iter().rev().find(of_epoch);
            let value =
                OF_TRAINING.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
            Ok(value.zip(point).and_then(|(value, point)| value(point)))
        }
        StageConfig::Load(_) | StageConfig::Augment(_) => Ok(None),
    }
}
