//! The configuration of a sweep: the parameters, the search method, and the metric that decides.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method::{MedianStop, Method};
use super::parameter::Parameter;

/// The trials of `pipe sweep`: runs of the pipeline with many parameter values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The method that chooses the values of the trials.
    #[serde(default)]
    pub method: Method,
    /// The metric that selects the best trial and guides the search. It must be computed on dev or
    /// on folds of train, never on test. `grid`, `random` and `quasi_random` do not need it.
    #[serde(default)]
    pub metric: Option<Metric>,
    /// The parameters by the dotted key that they set, as in `-S`: `params.learning_rate`,
    /// `stages.tuned.train.epochs`.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// The seeds of every trial; a trial's metric is the mean over them. Default: the seed of the
    /// file.
    #[serde(default)]
    pub seeds: Option<Vec<u64>>,
    /// The largest number of trials, for any method.
    #[serde(default)]
    pub run_cap: Option<usize>,
    /// The trained models that stay in the cache after their evaluation. Each takes as much space
    /// as the pretrained model.
    #[serde(default)]
    pub keep_models: KeepModels,
    /// The rule that stops poor trials early.
    #[serde(default)]
    pub stop: Option<Stop>,
}

/// Which trained models stay in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepModels {
    /// The models of the best trial so far, or all models without a `metric`. Predictions and
    /// metrics of other trials stay.
    #[default]
    Best,
    /// The models of every trial that was trained to the end.
    All,
}

/// A metric of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// A stage and its metric: `dev_score.macro_f1` of an `evaluate` stage, or
    /// `tuned.dev_macro_f1`, `tuned.dev_loss` and any other `dev_<metric>` of a `train` stage.
    pub name: String,
    /// Whether it is maximized or minimized. Default: losses and calibration errors are minimized,
    /// all others maximized.
    #[serde(default)]
    pub goal: Option<Goal>,
}

/// The direction of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    Maximize,
    Minimize,
}

/// A rule that stops trials early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Stops a trial whose best value so far is worse than the median of the finished trials
    /// (Golovin et al. 2017). A finished trial counts with its average value up to the same epoch.
    Median(MedianStop),
}

impl Metric {
    /// Splits the name into the stage and the metric.
    pub fn parts(&self) -> Option<(&str, &str)> {
        self.name.split_once('.').filter(|(stage, metric)| !stage.is_empty() && !metric.is_empty())
    }
}

impl Goal {
    /// Returns the value with its sign turned so that less is better, and the reverse.
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
