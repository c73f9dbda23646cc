//! The methods of a search.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The method that chooses the values of trials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Every combination of the values; the last parameter changes fastest.
    #[default]
    Grid,
    /// Independent draws.
    Random(Random),
    /// A scrambled Sobol sequence: draws that fill the space evenly.
    QuasiRandom(QuasiRandom),
    /// A tree-structured Parzen estimator over all parameters together (Bergstra et al. 2011,
    /// Falkner et al. 2018).
    Tpe(Guided),
    /// A Gaussian process with expected improvement (Jones et al. 1998). It suits numbers, few
    /// parameters and up to a few hundred trials.
    Gp(Guided),
    /// Asynchronous successive halving (Li et al. 2020): many trials start with few epochs, and the
    /// best of them continue.
    Asha(Asha),
    /// Hyperband (Li et al. 2018): successive halving with several trade-offs between the number of
    /// trials and the number of epochs.
    Hyperband(Hyperband),
}

/// Settings of `random`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// The number of trials.
    #[serde(default = "default_trials")]
    pub trials: usize,
}

/// Settings of `quasi_random`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuasiRandom {
    /// The number of trials; powers of two fill the space most evenly.
    #[serde(default = "default_trials")]
    pub trials: usize,
}

/// Settings of the methods that learn from every trial: `tpe` and `gp`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guided {
    /// The number of trials.
    #[serde(default = "default_trials")]
    pub trials: usize,
    /// The number of trials that are chosen before the method learns: at random for `tpe`, filling
    /// the space evenly for `gp`.
    #[serde(default = "default_startup_trials")]
    pub startup_trials: usize,
    /// The number of trials that may be running when the next is chosen. It is independent of the
    /// number of workers, so that `-j` does not change the trials.
    #[serde(default = "default_pending")]
    pub pending: usize,
}

/// Settings of `asha`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asha {
    /// The number of trials that start; with `sample: grid` the grid sets it.
    #[serde(default = "default_trials")]
    pub trials: usize,
    /// The method that chooses the values of the trials.
    #[serde(default)]
    pub sample: Sample,
    /// The number of epochs before a trial is first judged.
    #[serde(default = "default_min_epochs")]
    pub min_epochs: u32,
    /// η: one in η trials continues, for η times as many epochs.
    #[serde(default = "default_reduction")]
    pub reduction: u32,
    /// The number of trainings that may be running when the next is chosen. It is independent of
    /// the number of workers, so that `-j` does not change the trials.
    #[serde(default = "default_pending")]
    pub pending: usize,
}

/// Settings of `hyperband`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hyperband {
    /// The method that chooses the values of the trials.
    #[serde(default)]
    pub sample: Sample,
    /// The smallest number of epochs before a trial is judged.
    #[serde(default = "default_min_epochs")]
    pub min_epochs: u32,
    /// η: one in η trials continues, for η times as many epochs.
    #[serde(default = "default_reduction")]
    pub reduction: u32,
}

/// The method that chooses the values of trials at the start of halving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// Every combination of the values.
    Grid,
    /// Independent draws.
    #[default]
    Random,
    /// A scrambled Sobol sequence.
    QuasiRandom,
    /// A tree-structured Parzen estimator.
    Tpe,
}

/// Settings of the median rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MedianStop {
    /// The number of epochs before a trial is first judged.
    #[serde(default = "default_min_epochs")]
    pub min_epochs: u32,
    /// The number of epochs between judgements.
    #[serde(default = "default_min_epochs")]
    pub interval: u32,
    /// The number of trials that run to the end before any trial is stopped early.
    #[serde(default = "default_median_startup")]
    pub startup_trials: usize,
    /// The number of trainings that may be running when the next is chosen. It is independent of
    /// the number of workers, so that `-j` does not change the trials.
    #[serde(default = "default_pending")]
    pub pending: usize,
}

fn default_trials() -> usize {
    30
}

fn default_startup_trials() -> usize {
    10
}

fn default_median_startup() -> usize {
    5
}

fn default_pending() -> usize {
    4
}

fn default_min_epochs() -> u32 {
    1
}

fn default_reduction() -> u32 {
    3
}
