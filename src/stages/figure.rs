//! The figures by which the trials of a sweep are judged: one number of one stage.

use std::path::Path;
use std::sync::LazyLock;

use indexmap::IndexSet;

use super::config::StageConfig;
use super::contract::artifact::Split;
use super::contract::error::StageError;
use super::evaluate::Summary;
use super::train::objective::DevMetric;
use super::train::trained_model;
use crate::data::Curves;
use crate::data::curves::CurvePoint;
use crate::metrics::{self, NAMES, OF_A_CLASS};

/// What the names of a training's figures begin with.
const DEV: &str = "dev_";

/// What `train` gives of the epoch whose weights it keeps, the usual ones first.
static OF_TRAINING: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let usual = ["macro_f1", "accuracy", "loss"];
    let names: IndexSet<&str> = usual.iter().chain(DevMetric::names()).copied().collect();
    names.into_iter().map(|name| &*format!("{DEV}{name}").leak()).collect()
});

/// Lists the figures that a stage gives, those of single classes left out.
pub fn names(stage: &StageConfig) -> Vec<&'static str> {
    match stage {
        StageConfig::Evaluate(_) => NAMES.to_vec(),
        StageConfig::Train(_) => OF_TRAINING.clone(),
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
    let of_dev = name.strip_prefix(DEV).and_then(DevMetric::named);
    of_dev.map_or_else(|| metrics::less_is_better(name), DevMetric::less_is_better)
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
                kept.is_none_or(|epoch| point.epoch == epoch) && !point.dev.is_empty()
            };
            let point = curves.0.iter().rev().find(of_epoch);
            let value = |point: &CurvePoint| point.dev.get(name.strip_prefix(DEV)?).copied();
            Ok(point.and_then(value))
        }
        StageConfig::Load(_) | StageConfig::Augment(_) => Ok(None),
    }
}
