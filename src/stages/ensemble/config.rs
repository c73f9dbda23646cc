//! The configuration of `ensemble`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stages::contract::stage::StageId;
use crate::stages::leaks::Leaks;
use crate::stages::train::objective::DevMetric;
use crate::stages::train::settings::Model;
use crate::text::Windows;

/// Makes one model of several with the same labels: of those of listed stages, or of one training
/// under several seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ensemble {
    /// The stages that provide the models, from 2 to 16. They may differ in all but their labels
    /// where predictions are combined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<StageId>,
    /// One `train` stage in place of `models`, which is trained on the same data under several
    /// seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<StageId>,
    /// The number of trainings of `of`, from 2 to 16. The first has the run's own seed; those of
    /// the others are drawn from it. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u32>,
    /// What each of `models` counts, in their order. Default: all count the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// What is combined, and how.
    #[serde(default)]
    pub combine: Combine,
    /// How each stage that provides a model begins, where it is a `train` stage.
    #[serde(skip)]
    pub origins: Vec<Option<Origin>>,
}

/// What models must have in common whose weights are to have a mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub model: Model,
    pub max_length: Option<usize>,
    pub windows: Option<Windows>,
}

impl Origin {
    /// Returns the first setting in which it differs from another; `None` where it does in none.
    pub(super) fn difference(&self, other: &Origin) -> Option<&'static str> {
        let settings = [
            ("model", self.model == other.model),
            ("max_length", self.max_length == other.max_length),
            ("windows", self.windows == other.windows),
        ];
        settings.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
    }
}

/// What is combined, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The log-probabilities: log p(y|x) = Σ wᵢ · log pᵢ(y|x) − log Z(x) with Σ wᵢ = 1, and Z such
    /// that the probabilities of a text add up to 1. Every model reads every text.
    #[default]
    LogProbabilities,
    /// The weights: their mean over all models (Wortsman et al. 2022). It is one model, which
    /// costs no more than another. All must be trained from one pretrained encoder.
    UniformSoup,
    /// The weights: their mean over some models (Wortsman et al. 2022). Models are sorted by
    /// their score on dev, the best first; each is taken in if the score does not fall by it.
    GreedySoup(GreedySoup),
}

/// The settings of a greedy soup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GreedySoup {
    /// The stage that provides the data set whose dev split chooses.
    pub data: StageId,
    /// The metric on dev that chooses. Default: accuracy, as in the paper.
    #[serde(default = "accuracy")]
    pub metric: DevMetric,
    /// How to treat dev texts that a model has learnt from elsewhere.
    #[serde(default, skip_serializing_if = "Leaks::is_error")]
    pub duplicates: Leaks,
}

/// The number of trainings of one stage where the file says nothing.
const SEEDS: u32 = 5;

impl Ensemble {
    /// Returns the number of models.
    pub(super) fn count(&self) -> usize {
        match self.of {
            Some(_) => self.seeds.unwrap_or(SEEDS) as usize,
            None => self.models.len(),
        }
    }

    /// Lists the stages that provide models, each once.
    pub(super) fn stages(&self) -> Vec<&StageId> {
        self.of.iter().chain(&self.models).collect()
    }

    /// Returns what each of the models counts, which adds up to 1.
    pub(super) fn shares(&self) -> Vec<f64> {
        let count = self.count();
        let weights = self.weights.clone().unwrap_or_else(|| vec![1.0; count]);
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }
}

impl Combine {
    /// Says whether the outcome is one network with averaged weights.
    pub(super) fn is_soup(&self) -> bool {
        *self != Combine::LogProbabilities
    }
}

fn accuracy() -> DevMetric {
    DevMetric::named("accuracy").unwrap_or_default()
}
