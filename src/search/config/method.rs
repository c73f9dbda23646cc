//! How the values of trials are chosen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the values of trials are chosen.
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
    /// A Gaussian process with expected improvement (Jones et al. 1998); for numbers, few
    /// parameters and up to some hundred trials.
    Gp(Guided),
    /// Asynchronous successive halving (Li et al. 2020): many trials of few epochs, of which the
    /// best go on.
    Asha(Asha),
    /// Hyperband (Li et al. 2018): successive halving with several trade-offs between many trials
    /// and many epochs.
    Hyperband(Hyperband),
}

/// Settings of `random`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// How many trials.
    #[serde(default = "default_trials")]
    pub trials: usize,
}

/// Settings of `quasi_random`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuasiRandom {
    /// How many trials; powers of two fill the space most evenly.
    #[serde(default = "default_trials")]
    pub trials: usize,
}

/// Settings of the methods that learn from every trial: `tpe` and `gp`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guided {
    /// How many trials.
    #[serde(default = "default_trials")]
    pub trials: usize,
    /// How many of them are chosen before anything is learned: at random for `tpe`, filling the
    /// space evenly for `gp`.
    #[serde(default = "default_startup_trials")]
    pub startup_trials: usize,
    /// How many trials may be under way when the next is chosen. It is a setting and not the number
    /// of workers, so that `-j` changes nothing.
    #[serde(default = "default_pending")]
    pub pending: usize,
}

/// Settings of `asha`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asha {
    /// How many trials begin; `sample: grid` has its own number.
    #[serde(default = "default_trials")]
    pub trials: usize,
    /// How the values of the trials are chosen.
    #[serde(default)]
    pub sample: Sample,
    /// The epochs after which a trial is first judged.
    #[serde(default = "default_min_epochs")]
    pub min_epochs: u32,
    /// η: one in so many trials goes on, for so many times the epochs.
    #[serde(default = "default_reduction")]
    pub reduction: u32,
    /// How many trainings may be under way when the next is chosen. It is a setting and not the
    /// number of workers, so that `-j` changes nothing.
    #[serde(default = "default_pending")]
    pub pending: usize,
}

/// Settings of `hyperband`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hyperband {
    /// How the values of the trials are chosen.
    #[serde(default)]
    pub sample: Sample,
    /// The least epochs after which a trial is judged.
    #[serde(default = "default_min_epochs")]
    pub min_epochs: u32,
    /// η: one in so many trials goes on, for so many times the epochs.
    #[serde(default = "default_reduction")]
    pub reduction: u32,
}

/// How the values of the trials are chosen that halving begins with.
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
    /// The epochs after which a trial is first judged.
    #[serde(default = "default_min_epochs")]
    pub min_epochs: u32,
    /// The epochs from one judgement to the next.
    #[serde(default = "default_min_epochs")]
    pub interval: u32,
    /// How many trials run to their end before any is ended early.
    #[serde(default = "default_median_startup")]
    pub startup_trials: usize,
    /// How many trainings may be under way when the next is chosen. It is a setting and not the
    /// number of workers, so that `-j` changes nothing.
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
