//! What a sweep is: the parameters, how they are searched, and what decides.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method::{MedianStop, Method};
use super::parameter::Parameter;

/// The trials of `pipe sweep`: the pipeline, run with many values of its parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// How the values of the trials are chosen.
    #[serde(default)]
    pub method: Method,
    /// What decides which trial is the best, and where a method looks next. It reads dev: test data
    /// chooses nothing. `grid`, `random` and `quasi_random` do without.
    #[serde(default)]
    pub metric: Option<Metric>,
    /// The parameters by the dotted key that they set, as `-S` takes it: `params.learning_rate`,
    /// `stages.tuned.train.epochs`.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// The seeds that every trial runs with; a trial's figure is the mean over them. Left out: the
    /// file's one seed.
    #[serde(default)]
    pub seeds: Option<Vec<u64>>,
    /// The most trials, whatever the method would run.
    #[serde(default)]
    pub run_cap: Option<usize>,
    /// Which trained models stay in the cache once they are evaluated; a model takes as much room
    /// as the pretrained one.
    #[serde(default)]
    pub keep_models: KeepModels,
    /// Ends trials early that do badly.
    #[serde(default)]
    pub stop: Option<Stop>,
}

/// Which trained models stay in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepModels {
    /// Those of the best trial so far; all of them where no `metric` says which that is.
    /// Predictions and figures of the others stay.
    #[default]
    Best,
    /// Those of every trial that was trained to its end.
    All,
}

/// A figure that a stage gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// A stage and its metric: `dev_score.macro_f1` of an `evaluate` stage, or
    /// `tuned.dev_macro_f1`, `tuned.dev_accuracy`, `tuned.dev_loss` of a `train` stage.
    pub name: String,
    /// Whether more or less of it is better. Left out: less of losses and calibration errors, more
    /// of all else.
    #[serde(default)]
    pub goal: Option<Goal>,
}

/// Whether more or less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    Maximize,
    Minimize,
}

/// A rule that ends trials early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Ends a trial whose best figure so far is worse than the median of what finished trials had
    /// on average by that epoch (Golovin et al. 2017).
    Median(MedianStop),
}

impl Metric {
    /// Splits the name into the stage and the metric.
    pub fn parts(&self) -> Option<(&str, &str)> {
        self.name.split_once('.').filter(|(stage, metric)| !stage.is_empty() && !metric.is_empty())
    }
}

impl Goal {
    /// Returns the value turned so that less is better, and back.
    pub fn minimised(self, value: f64) -> f64 {
        match self {
            Goal::Maximize => -value,
            Goal::Minimize => value,
        }
    }

    /// Returns the name in a pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Goal::Maximize => "maximize",
            Goal::Minimize => "minimize",
        }
    }
}
