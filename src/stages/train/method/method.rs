//! The one list of methods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auto::Auto;
use super::contract::Learner;
use super::contrastive::Contrastive;
use super::distil::Distil;
use super::fine_tune::FineTune;
use super::lp_ft::LpFt;
use super::probe::Probe;
use super::self_training::SelfTraining;

/// How a model learns from the texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Trains the encoder and its head together.
    FineTune(FineTune),
    /// Fits a classifier to the vectors of the encoder as it is.
    Probe(Probe),
    /// Tunes the encoder so that texts of one class are near each other, then fits a classifier to
    /// its vectors.
    Contrastive(Contrastive),
    /// Fits a head to the encoder as it is, then trains both together.
    LpFt(LpFt),
    /// Chooses among methods by folds of train.
    Auto(Auto),
    /// Learns from texts without labels, which a model of a method has labelled.
    SelfTraining(SelfTraining),
    /// Learns the vectors of a trained model, mostly a larger one.
    Distil(Distil),
}

impl Default for Method {
    fn default() -> Method {
        Method::FineTune(FineTune::default())
    }
}

impl Method {
    /// Returns the method behind the setting.
    pub fn learner(&self) -> &dyn Learner {
        match self {
            Method::FineTune(method) => method,
            Method::Probe(method) => method,
            Method::Contrastive(method) => method,
            Method::LpFt(method) => method,
            Method::Auto(method) => method,
            Method::SelfTraining(method) => method,
            Method::Distil(method) => method,
        }
    }
}
