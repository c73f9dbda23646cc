//! The methods that others hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::Learner;
use super::contrastive::Contrastive;
use super::fine_tune::FineTune;
use super::lp_ft::LpFt;
use super::probe::Probe;

/// A method that holds no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Single {
    /// A classifier over the vectors of the encoder as it is.
    Probe(Probe),
    /// Contrastive tuning, then a classifier.
    Contrastive(Contrastive),
    /// The encoder and its head together.
    FineTune(FineTune),
    /// The same from the head of a probe.
    LpFt(LpFt),
}

impl Default for Single {
    fn default() -> Single {
        Single::Probe(Probe::default())
    }
}

impl Single {
    /// Returns the method behind the setting.
    pub(super) fn learner(&self) -> &dyn Learner {
        match self {
            Single::Probe(method) => method,
            Single::Contrastive(method) => method,
            Single::FineTune(method) => method,
            Single::LpFt(method) => method,
        }
    }
}
