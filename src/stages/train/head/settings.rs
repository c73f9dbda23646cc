//! The settings of a head that is fitted to the vectors of texts.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::data::{DataSet, Unlabelled};
use crate::stages::contract::error::CheckError;
use crate::stages::contract::stage::DataFact;
use crate::stages::train::problems::Problems;

/// The classifier over the vectors of texts, which have length 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classifier {
    /// scikit-learn's `LogisticRegression`, solved to the optimum.
    LogisticRegression(LogisticRegression),
    /// Linear discriminant analysis with one covariance of all classes, which is shrunk (Ledoit and
    /// Wolf 2004).
    Lda(Lda),
    /// The nearest mean of a class (Snell et al. 2017).
    Prototypes(Prototypes),
    /// The classes of the nearest train texts, weighted by e^(cosine/T). T is that under which
    /// train texts are likeliest among the others. The model keeps the vectors of all train texts.
    Knn(Knn),
    /// The nearest label text, whatever the train texts are. It shows what an encoder knows before
    /// it has seen an example.
    ZeroShot,
    /// The one of prototypes, logistic regression and LDA whose predictions out of fold are the
    /// likeliest. `knn` is not tried: its model would grow with the texts.
    Auto,
}

/// The settings of `logistic_regression`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogisticRegression {
    /// The inverse of the strength of the L2 penalty, as in scikit-learn: a number, or `auto` for
    /// the one of 0.01 to 1000 (in half decades) whose predictions out of fold are the likeliest.
    #[serde(default)]
    pub c: Automatic,
}

/// The settings of `lda`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lda {
    /// The share from 0 to 1 by which the covariance is drawn to a multiple of the identity: a
    /// number, or `auto` for that of Ledoit and Wolf.
    #[serde(default)]
    pub shrinkage: Automatic,
}

/// The settings of `prototypes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prototypes {
    /// How much a label text counts in the mean of its class, where there are some; a train text
    /// counts 1.
    #[serde(default = "default_label_weight")]
    pub label_weight: f64,
}

/// The settings of `knn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knn {
    /// How many of the nearest texts count. Default: 5, or as many texts as the smallest class has
    /// if these are fewer.
    #[serde(default)]
    pub k: Option<usize>,
}

/// A number, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Automatic(pub Option<f64>);

/// How probabilities are calibrated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// They stay as the classifier gives them.
    #[default]
    None,
    /// Logits are divided by the temperature that makes those out of fold the likeliest (Guo et al.
    /// 2017). Predictions stay the same.
    Folds,
}

/// The shares of the classes among the texts that will be predicted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassPrior {
    /// Those of the train texts, which a draw of `shots` makes equal.
    #[default]
    Train,
    /// Equal shares, whatever the train texts are.
    Uniform,
    /// A share for each label; they sum to 1.
    Given(IndexMap<String, f64>),
    /// Those by which the predictions of other texts are the likeliest (Saerens et al. 2002).
    /// Calibrated probabilities serve it best.
    Estimate(EstimateFrom),
}

/// The texts that shares of classes are estimated from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EstimateFrom {
    /// The texts without labels, which `load` gives. Test is never looked at.
    Unlabelled,
}

/// The head over the vectors of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadSettings {
    pub classifier: Classifier,
    pub calibrate: Calibration,
    pub prior: ClassPrior,
    /// The number of folds of train by which `auto` settings and temperatures are chosen; `None`
    /// for the usual number, or fewer where a class has fewer texts.
    pub folds: Option<usize>,
}

impl Classifier {
    /// Returns the setting of `train` that the classifier has no use for.
    pub(in crate::stages::train) fn refused(&self) -> Option<(&'static str, &'static str)> {
        let reads = matches!(self, Classifier::Prototypes(_) | Classifier::ZeroShot);
        (!reads).then_some(("label_texts", "only `prototypes` and `zero_shot` read them"))
    }

    /// Says whether the classifier has logits of texts that its fit has not seen, by folds or by
    /// leaving one out.
    fn has_held_out(&self) -> bool {
        matches!(self, Classifier::LogisticRegression(_) | Classifier::Lda(_))
    }
}

impl Default for Classifier {
    fn default() -> Classifier {
        Classifier::LogisticRegression(LogisticRegression::default())
    }
}

impl Default for Prototypes {
    fn default() -> Prototypes {
        Prototypes { label_weight: default_label_weight() }
    }
}

fn default_label_weight() -> f64 {
    1.0
}

impl HeadSettings {
    /// Collects the settings of a method.
    pub fn new(
        classifier: &Classifier,
        calibrate: Calibration,
        prior: &ClassPrior,
        folds: Option<usize>,
    ) -> HeadSettings {
        HeadSettings { classifier: classifier.clone(), calibrate, prior: prior.clone(), folds }
    }

    /// Says whether the head is fitted to texts without labels too.
    pub fn reads_unlabelled(&self) -> bool {
        matches!(self.prior, ClassPrior::Estimate(EstimateFrom::Unlabelled))
    }

    /// Returns the texts without labels that the head is fitted to; mostly none.
    pub fn unlabelled<'a>(&self, data: &'a DataSet) -> &'a [Unlabelled] {
        if self.reads_unlabelled() { &data.unlabelled } else { &[] }
    }

    /// Reports settings that no head can be fitted with, at a field of the method.
    pub(in crate::stages::train) fn check(
        &self,
        at: &str,
        data: &DataFact,
        problems: &mut Problems,
    ) {
        match &self.classifier {
            Classifier::LogisticRegression(LogisticRegression { c: Automatic(Some(c)) }) => {
                problems.positive(&format!("{at}.classifier.logistic_regression.c"), *c);
            }
            Classifier::Lda(Lda { shrinkage: Automatic(Some(shrinkage)) }) => {
                problems.share(&format!("{at}.classifier.lda.shrinkage"), *shrinkage, true);
            }
            Classifier::Prototypes(Prototypes { label_weight }) => {
                let field = format!("{at}.classifier.prototypes.label_weight");
                problems.not_negative(&field, *label_weight);
            }
            Classifier::Knn(Knn { k: Some(k) }) => {
                problems.at_least_one(&format!("{at}.classifier.knn.k"), *k as u64);
            }
            _ => {}
        }
        if self.calibrate == Calibration::Folds && !self.classifier.has_held_out() {
            problems.add(
                &format!("{at}.calibrate"),
                "the classifier has its own temperature, or none that train could tell".to_owned(),
                "leave it out, or take `logistic_regression` or `lda`",
            );
        }
        problems.0.extend(CheckError::of_folds(&format!("{at}.folds"), self.folds));
        if self.reads_unlabelled() && !data.unlabelled {
            problems.add(
                &format!("{at}.prior.estimate"),
                "the data have no texts without labels".to_owned(),
                "give some with `unlabelled` in the `load` stage, or name the shares with `given`",
            );
        }
        if let ClassPrior::Given(shares) = &self.prior {
            let sum: f64 = shares.values().sum();
            if shares.values().any(|share| !(0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-6
            {
                problems.add(
                    &format!("{at}.prior.given"),
                    format!("expected shares from 0 to 1 with the sum 1, found the sum {sum}"),
                    "a share is the part of texts in a class",
                );
            }
        }
    }
}

const AUTO: &str = "auto";

impl Serialize for Automatic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => serializer.serialize_f64(number),
            None => serializer.serialize_str(AUTO),
        }
    }
}

impl<'de> Deserialize<'de> for Automatic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Automatic, D::Error> {
        deserializer.deserialize_any(NumberOrAuto)
    }
}

struct NumberOrAuto;

impl Visitor<'_> for NumberOrAuto {
    type Value = Automatic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or `auto`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Automatic, E> {
        match text {
            AUTO => Ok(Automatic(None)),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Automatic, E> {
        Ok(Automatic(Some(number)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Automatic, E> {
        Ok(Automatic(Some(number as f64)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Automatic, E> {
        Ok(Automatic(Some(number as f64)))
    }
}

impl JsonSchema for Automatic {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NumberOrAuto".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "number" },
            { "type": "string", "enum": [AUTO] },
        ] })
    }
}
