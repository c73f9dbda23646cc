//! The result of a comparison, from which tables, files and reports are made.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use crate::statistics::{Interval, Summary};

/// Recipes compared with one of them on one split by one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The metric that decides.
    pub metric: String,
    /// Further metrics to show.
    pub other_metrics: Vec<String>,
    pub less_is_better: bool,
    pub split: String,
    /// The name of the baseline; `None` if no recipe has results.
    pub baseline: Option<String>,
    /// The runs of the rows.
    pub runs: Vec<String>,
    pub test_rows: TestRows,
    /// The names of the parameters that differ between recipes.
    pub changed_params: Vec<String>,
    /// The baseline first, then the others in the requested order.
    pub recipes: Vec<Recipe>,
    /// The number of compared recipes, including those that are not shown.
    pub compared: usize,
    /// Friedman's test over all recipes with the baseline's seeds; `None` with fewer than three
    /// recipes or a single seed.
    pub ranks: Option<Ranks>,
    /// The best trial of a search with its corrected value; `None` if fewer than three were
    /// compared.
    pub selected: Option<Selected>,
    pub by: Option<ByParameter>,
    pub examples: Option<Examples>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}

/// The test rows of the recipes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestRows {
    /// The number of texts; `None` if it differs between recipes.
    pub count: Option<u64>,
    /// The digest of ids, texts and labels, if there are predictions and they agree.
    pub digest: Option<String>,
    /// Whether all recipes were tested on the same rows, as far as is known.
    pub same: bool,
}

/// One recipe: rows that differ only in the seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// The parts of its identity that differ from other recipes.
    pub name: String,
    pub pipeline: String,
    pub stage: String,
    pub trial: Option<u64>,
    pub runs: Vec<String>,
    pub params: IndexMap<String, Value>,
    /// The number of predicted texts.
    pub texts: u64,
    /// The compared seeds, ascending, and the metric at each.
    pub seeds: Vec<u64>,
    pub values: Vec<f64>,
    pub summary: Option<Summary>,
    /// The other metrics.
    pub others: IndexMap<String, Summary>,
    pub cost: Cost,
    /// Rows that are left out: failed, or stopped early by a search.
    pub skipped: Vec<Skipped>,
    pub is_baseline: bool,
    /// Whether a search selected it by the same values that are compared here.
    pub is_selected: bool,
    /// The mean rank over seeds; rank 1 is the best.
    pub rank: Option<f64>,
    /// `None` for the baseline, and without finished rows.
    pub against: Option<Against>,
}

/// What the trainings of a recipe took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// How its models have learnt; empty where no row tells.
    pub method: String,
    /// The mean over the rows.
    pub seconds: Option<f64>,
    /// The texts that the encoder has read, the mean over the rows.
    pub encodings: Option<f64>,
    /// The most memory of any row, in bytes.
    pub memory: Option<u64>,
}

/// A row that is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub seed: u64,
    /// The error, if it failed; `None` if it was stopped early or has no value.
    pub error: Option<String>,
    /// The epoch at which a search stopped it.
    pub stopped_epoch: Option<u64>,
}

/// A recipe compared with the baseline. Differences are the recipe's value less the baseline's
/// value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Against {
    /// The seeds of both; with at least two, values are paired by seed.
    pub seeds: Vec<u64>,
    pub difference: f64,
    /// The 95 % interval by Student's t, cut to what a difference can be.
    pub interval: Option<Interval>,
    pub test: Option<Test>,
    pub p: Option<f64>,
    /// `p` with Holm's correction over all recipes compared.
    pub p_holm: Option<f64>,
    /// Wilcoxon's signed-rank test of the paired differences.
    pub wilcoxon_p: Option<f64>,
    /// The smallest p that Wilcoxon's test can give with this number of pairs.
    pub wilcoxon_least: Option<f64>,
    /// Cohen's d_z of the paired differences, with the sign of the difference.
    pub effect_size: Option<f64>,
    /// The number of seeds that detects a true difference of one point (0.01) four times in five.
    pub seeds_needed: Option<u64>,
    pub items: Option<Items>,
    pub verdict: Verdict,
}

/// The test behind a p value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Student's test of differences paired by seed.
    PairedT,
    /// Welch's test, for recipes with fewer than two seeds in common.
    Welch,
    /// Wilcoxon's signed-rank test, if the difference is the same at every seed, so that Student's
    /// test is undefined.
    Wilcoxon,
}

/// The comparison of the trained models over test texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Items {
    pub texts: u64,
    /// The number of seeds with predictions.
    pub seeds: usize,
    /// The 95 % interval of the mean difference over seeds when texts are resampled: paired
    /// bootstrap, percentiles.
    pub interval: Option<Interval>,
    pub resamples: usize,
    /// The texts that only the baseline predicts correctly, and those that only this recipe does,
    /// summed over seeds.
    pub only_baseline_right: u64,
    pub only_this_right: u64,
    /// McNemar's exact test; with several seeds, twice the median of their p values.
    pub mcnemar_p: f64,
}

/// The conclusion about a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// Better than the baseline: p with Holm's correction is below 0.05, and the interval over test
    /// texts, if there is one, excludes 0.
    Better,
    /// Worse than the baseline, by the same criteria.
    Worse,
    /// No difference shown, although there were enough seeds to show a difference of one point.
    NoDifference,
    /// The seeds agree, but other test texts could reverse the difference.
    TooFewTexts,
    /// Not enough seeds to tell. `more` is the number of additional seeds that would show a
    /// difference of one point, if it can be computed.
    TooFewSeeds { more: Option<u64> },
}

/// Friedman's test with seeds as blocks, and Nemenyi's critical difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranks {
    pub recipes: usize,
    pub seeds: usize,
    pub statistic: f64,
    pub p: f64,
    /// Mean ranks that differ by at least this are different at the level 0.05.
    pub critical_difference: f64,
}

/// The best of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Selected {
    pub name: String,
    /// The number of trials from which it was selected.
    pub trials: usize,
    pub value: f64,
    /// The selection bias of the value, and the value without it; `None` if nothing can be
    /// resampled.
    pub bias: Option<f64>,
    pub corrected: Option<f64>,
    /// The resampled units: `seeds` or `texts`.
    pub resampled: Option<&'static str>,
}

/// Recipes aggregated by the values of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByParameter {
    pub parameter: String,
    pub groups: Vec<Group>,
}

/// The recipes with one value of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// `None` for recipes that lack the parameter.
    pub value: Option<Value>,
    pub recipes: usize,
    /// The summary of the recipes' means.
    pub summary: Summary,
    /// The name of the recipe with the best mean, and that mean.
    pub best: String,
    pub best_mean: f64,
}

/// Texts on which two recipes differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Examples {
    pub baseline: String,
    pub recipe: String,
    pub seeds: usize,
    /// The number of texts that flip at any seed, including those that are not listed.
    pub flipped: usize,
    /// Texts that flip at most seeds come first.
    pub examples: Vec<Example>,
}

/// A text that only one of two recipes predicts correctly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    pub id: String,
    pub text: String,
    pub label: String,
    pub baseline: Vec<Vote>,
    pub recipe: Vec<Vote>,
    /// The number of seeds at which only the recipe is right, and at which only the baseline is.
    pub fixed: usize,
    pub broken: usize,
}

/// A prediction, and the number of seeds that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vote {
    pub prediction: String,
    pub seeds: usize,
}
