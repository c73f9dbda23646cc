//! What a comparison says: everything that tables, files and reports are drawn from.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use crate::statistics::{Interval, Summary};

/// Recipes compared with one of them on one split by one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The metric that is judged.
    pub metric: String,
    /// Further metrics that are shown.
    pub other_metrics: Vec<String>,
    pub less_is_better: bool,
    pub split: String,
    /// The name of the recipe that the others are compared with; `None` where none has results.
    pub baseline: Option<String>,
    /// The runs that the rows are of.
    pub runs: Vec<String>,
    pub test_rows: TestRows,
    /// The names of the parameters that differ between recipes.
    pub changed_params: Vec<String>,
    /// The baseline first, then the others in the order asked for.
    pub recipes: Vec<Recipe>,
    /// How many recipes were compared, those included that are not shown.
    pub compared: usize,
    /// Friedman's test over all recipes with the baseline's seeds; `None` for fewer than three or
    /// for a single seed.
    pub ranks: Option<Ranks>,
    /// What the best trial of a search is worth; `None` where fewer than three were compared.
    pub selected: Option<Selected>,
    pub by: Option<ByParameter>,
    pub examples: Option<Examples>,
    /// What a reader has to know, in sentences.
    pub notes: Vec<String>,
}

/// What the recipes were tested on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestRows {
    /// The number of texts; `None` where recipes differ in it.
    pub count: Option<u64>,
    /// The digest of ids, texts and labels, where predictions are there and agree.
    pub digest: Option<String>,
    /// Whether all recipes were tested on the same rows, as far as can be seen.
    pub same: bool,
}

/// One recipe: rows that differ in nothing but the seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// What tells it from the others.
    pub name: String,
    pub pipeline: String,
    pub stage: String,
    pub trial: Option<u64>,
    pub runs: Vec<String>,
    pub params: IndexMap<String, Value>,
    /// The number of texts that were predicted.
    pub texts: u64,
    /// The seeds that take part, ascending, and the metric at each.
    pub seeds: Vec<u64>,
    pub values: Vec<f64>,
    pub summary: Option<Summary>,
    /// The other metrics.
    pub others: IndexMap<String, Summary>,
    /// Rows that take no part: failed, or stopped early by a search.
    pub skipped: Vec<Skipped>,
    pub is_baseline: bool,
    /// Whether it is the best of a search by the very figures that it is judged by here.
    pub is_selected: bool,
    /// The mean rank over seeds, 1 being the best.
    pub rank: Option<f64>,
    /// `None` for the baseline, and without finished rows.
    pub against: Option<Against>,
}

/// A row that takes no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub seed: u64,
    /// Why it failed; `None` where it was stopped early or has no value.
    pub error: Option<String>,
    /// The epoch at which a search stopped it.
    pub stopped_epoch: Option<u64>,
}

/// A recipe against the baseline. Differences are the recipe's value less the baseline's, whichever
/// is better.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Against {
    /// The seeds that both have; values are paired by them where there are at least two.
    pub seeds: Vec<u64>,
    pub difference: f64,
    /// 95 %, by Student's t.
    pub interval: Option<Interval>,
    pub test: Option<Test>,
    pub p: Option<f64>,
    /// `p` with Holm's correction over all recipes compared.
    pub p_holm: Option<f64>,
    /// Wilcoxon's signed-rank test of the paired differences.
    pub wilcoxon_p: Option<f64>,
    /// The least p that Wilcoxon's test can give for so many pairs.
    pub wilcoxon_least: Option<f64>,
    /// Cohen's d_z of the paired differences, with the sign of the difference.
    pub effect_size: Option<f64>,
    /// How many seeds would show a true difference of one point (0.01) four times in five.
    pub seeds_needed: Option<u64>,
    pub items: Option<Items>,
    pub verdict: Verdict,
}

/// The test that a p is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Student's, of differences paired by seed.
    PairedT,
    /// Welch's, where the recipes have no two seeds in common.
    Welch,
    /// Wilcoxon's signed ranks, where the difference is the same at every seed and Student's test
    /// cannot be made.
    Wilcoxon,
}

/// What the test texts say of the trained models at hand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Items {
    pub texts: u64,
    /// The seeds whose predictions were read.
    pub seeds: usize,
    /// 95 % of the mean difference over seeds when texts are drawn anew: paired bootstrap,
    /// percentiles.
    pub interval: Option<Interval>,
    pub resamples: usize,
    /// Texts that only the baseline gets right, and those that only this recipe does, summed over
    /// seeds.
    pub only_baseline_right: u64,
    pub only_this_right: u64,
    /// McNemar's exact test; of several seeds twice the median of their p.
    pub mcnemar_p: f64,
}

/// What may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// Better than the baseline: p with Holm's correction is below 0.05, and the interval over test
    /// texts, where there is one, leaves 0 out.
    Better,
    /// The same the other way round.
    Worse,
    /// No difference shown, and there were seeds enough to show one of a point.
    NoDifference,
    /// The seeds agree, but on other test texts it could come out the other way.
    TooFewTexts,
    /// Not enough seeds to tell; so many more would show a difference of one point, where that can
    /// be said.
    TooFewSeeds { more: Option<u64> },
}

/// Friedman's test with seeds as blocks, and Nemenyi's critical difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranks {
    pub recipes: usize,
    pub seeds: usize,
    pub statistic: f64,
    pub p: f64,
    /// Mean ranks that are at least so far apart differ at the level 0.05.
    pub critical_difference: f64,
}

/// The best of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Selected {
    pub name: String,
    /// How many trials it was chosen from.
    pub trials: usize,
    pub value: f64,
    /// What the value owes to having been chosen, and what is left; `None` where nothing can be
    /// resampled.
    pub bias: Option<f64>,
    pub corrected: Option<f64>,
    /// What was resampled: `seeds` or `texts`.
    pub resampled: Option<&'static str>,
}

/// Recipes summed up by the values of one parameter.
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
    /// Over the recipes' means.
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
    /// How many texts flip at any seed, those included that are not listed.
    pub flipped: usize,
    /// Those that flip at most seeds first.
    pub examples: Vec<Example>,
}

/// A text that one recipe gets right and the other does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    pub id: String,
    pub text: String,
    pub label: String,
    pub baseline: Vec<Vote>,
    pub recipe: Vec<Vote>,
    /// At how many seeds only the recipe is right, and at how many only the baseline.
    pub fixed: usize,
    pub broken: usize,
}

/// A prediction, and at how many seeds it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vote {
    pub prediction: String,
    pub seeds: usize,
}
