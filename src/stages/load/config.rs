//! The configuration of `load`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reads labelled texts (CSV, TSV, JSON lines or Parquet) and splits them into train, dev and test.
///
/// Either `path` with `split`, or `files`. The split belongs to the data set: it depends on
/// `split.seed`, not on the seed of the run, so that all seeds are scored on the same texts. Only
/// the draw of `shots` follows the run's seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The file, relative to the pipeline file. Its ending says the format: csv, tsv, jsonl,
    /// parquet.
    #[serde(default)]
    pub path: Option<String>,
    /// Files that are split already, in place of `path` and `split`.
    #[serde(default)]
    pub files: Option<Files>,
    /// The column that holds the text.
    #[serde(default = "default_text")]
    pub text: String,
    /// The column that holds the label. Numbers and booleans are taken as they are written.
    #[serde(default = "default_label")]
    pub label: String,
    /// How much of `path` goes to test and dev, every class by its share. Left out: everything is
    /// train.
    #[serde(default)]
    pub split: Option<SplitSizes>,
    /// How many texts of each class to draw from train, by the run's seed; the draw for 8 is part
    /// of the draw for 16. Left out: all.
    #[serde(default)]
    pub shots: Option<usize>,
    /// How many texts of each class to draw from dev, likewise. Left out: all.
    #[serde(default)]
    pub dev_shots: Option<usize>,
    /// What to do about texts that are the same but for case, width and whitespace.
    #[serde(default)]
    pub duplicates: Duplicates,
}

/// Files that are split already, relative to the pipeline file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The file of the train texts.
    pub train: String,
    /// The file of the dev texts. Left out: there are none.
    #[serde(default)]
    pub dev: Option<String>,
    /// The file of the test texts. Left out: there are none.
    #[serde(default)]
    pub test: Option<String>,
}

/// How much of a file goes to test and to dev; the rest is train. Below 1 a size is a share of the
/// rows, from 1 on a number of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitSizes {
    /// The size of test.
    #[serde(default)]
    pub test: f64,
    /// The size of dev.
    #[serde(default)]
    pub dev: f64,
    /// Draws another split. It is not the seed of the run, which leaves the split alone.
    #[serde(default)]
    pub seed: u64,
}

/// What to do about texts that are the same but for case, width and whitespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Stops where one could stand in two splits: anywhere in `path`, and across `files`. Within
    /// one of `files` they are counted and kept.
    #[default]
    Error,
    /// Keeps all, also where test texts stand in train.
    Allow,
    /// Keeps the first of each, of `files` that in test before dev before train.
    Drop,
}

fn default_text() -> String {
    "text".to_owned()
}

fn default_label() -> String {
    "label".to_owned()
}
