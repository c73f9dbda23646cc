//! The configuration of `load`.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::data::source::{Empty, Quoting};

/// Reads labelled texts (CSV, TSV, JSON lines or Parquet) and splits them into train, dev and test.
///
/// Takes either `path` with `split`, or `files`. The split depends on `split.seed`, not on the seed
/// of the run, so that all seeds are scored on the same texts. Only the draws of `shots` and
/// `dev_shots` follow the run's seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The file, relative to the pipeline file. Its extension gives the format: csv, tsv, txt (with
    /// tabs), jsonl or parquet, each also compressed (`.gz`, `.zst`).
    #[serde(default)]
    pub path: Option<String>,
    /// Files that are already split, instead of `path` and `split`.
    #[serde(default)]
    pub files: Option<Files>,
    /// The column that holds the text.
    #[serde(default = "default_text")]
    pub text: String,
    /// The column that holds the label. Numbers and booleans are read as text.
    #[serde(default = "default_label")]
    pub label: String,
    /// The sizes of test and dev, which keep the class proportions of `path`. Default: all rows are
    /// train.
    #[serde(default)]
    pub split: Option<SplitSizes>,
    /// The number of texts of each class to draw from train, by the run's seed. The draw of 8 is
    /// part of the draw of 16. Default: all.
    #[serde(default)]
    pub shots: Option<usize>,
    /// The number of texts of each class to draw from dev, in the same way. Default: all.
    #[serde(default)]
    pub dev_shots: Option<usize>,
    /// Texts without labels, for what learns from such: `self_training`, and `prior: { estimate:
    /// unlabelled }`. A file alone stands for its `path`. Default: none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "file_or_settings"
    )]
    pub unlabelled: Option<UnlabelledTexts>,
    /// How to treat texts that are equal except for case, width, whitespace and signs that cannot
    /// be seen.
    #[serde(default)]
    pub duplicates: Duplicates,
    /// How to treat rows without a text.
    #[serde(default)]
    pub empty: Empty,
    /// The character between the fields of csv, tsv and txt, or `tab`. Default: a tab in tsv and
    /// txt; in csv the comma, semicolon, tab or vertical bar with which the header has both
    /// columns, or the one in a first line such as `sep=;`.
    #[serde(default)]
    pub separator: Option<String>,
    /// How fields are quoted in csv, tsv and txt. Default: `double` in csv and txt. A tsv is read
    /// in the way that gives sound rows; if both do and differ, the key must be set.
    #[serde(default)]
    pub quoting: Option<Quoting>,
    /// The encoding of files of text, such as `windows-1252` or `shift_jis`. A byte order mark
    /// comes first. Default: UTF-8, or UTF-16 where zero bytes show it.
    #[serde(default)]
    pub encoding: Option<String>,
}

/// Files that are already split, relative to the pipeline file.
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

/// Where texts without labels come from: a file, what `shots` leaves over, or both.
///
/// A text that stands in train too, or a second time among them, is left out with a note. For one
/// that stands in test or dev, `duplicates` says what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["object", "string"]))]
pub struct UnlabelledTexts {
    /// A file, relative to the pipeline file, of which only the column of the text is read.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether the texts that `shots` leaves over are taken, without their labels.
    #[serde(default)]
    pub rest: bool,
}

/// The sizes of test and dev; the rest is train. A size below 1 is a fraction of the rows; 2 or
/// more is a row count; 1 is an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitSizes {
    /// The size of test.
    #[serde(default)]
    pub test: f64,
    /// The size of dev.
    #[serde(default)]
    pub dev: f64,
    /// The seed of the split. The seed of the run does not change the split.
    #[serde(default)]
    pub seed: u64,
}

/// How to treat texts that are equal except for case, width, whitespace and signs that cannot be
/// seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Fails if a text could be in two splits: a duplicate anywhere in `path`, or across `files`.
    /// Duplicates within one of `files` are counted and kept. Fails too if a text without a label
    /// stands in test or dev.
    #[default]
    Error,
    /// Keeps all, even test texts that are also in train.
    Allow,
    /// Keeps the first of each. For `files`, test comes before dev, and dev before train. Texts
    /// without labels come last.
    Drop,
}

/// Reads settings, or the name of a file that stands for its `path`.
fn file_or_settings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<UnlabelledTexts>, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Option<UnlabelledTexts>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a file, or a map of `path` and `rest`")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E: Error>(self, path: &str) -> Result<Self::Value, E> {
            Ok(Some(UnlabelledTexts { path: Some(path.to_owned()), rest: false }))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            UnlabelledTexts::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(Either)
}

fn default_text() -> String {
    "text".to_owned()
}

fn default_label() -> String {
    "label".to_owned()
}
