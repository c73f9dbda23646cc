//! What keeps the weights of a training near those that it began with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapters::Adapters;
use super::freeze::Freeze;
use super::problems::Problems;

/// What keeps the encoder near its pretrained weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Regularise {
    /// L2-SP (Li et al. 2018): adds λ/2·‖w − w₀‖² to the loss, where w are the weights below the
    /// head and w₀ those before the first step. It takes the place of their weight decay; the head
    /// keeps its own. The gradients' norm and its clipping count it; the loss in curves does not.
    L2Sp(f64),
    /// Mixout (Lee et al. 2020): at each step, each weight of the linear layers within the
    /// encoder's layers is replaced by what it was before the first step, with this probability;
    /// what is kept of its change is divided by 1 − p. Biases, norms, embeddings and the head are
    /// left as they are. Predictions are by the weights as they are. The authors take 0.7 to 0.9,
    /// in place of dropout: `dropout: 0`.
    Mixout(Mixout),
}

/// Mixout's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mixout {
    /// The probability p. Default: 0.7.
    #[serde(default = "default_probability")]
    pub probability: f64,
}

fn default_probability() -> f64 {
    0.7
}

impl Regularise {
    /// Returns the strength λ of the pull towards the first weights.
    pub(super) fn pull(&self) -> f32 {
        match self {
            Regularise::L2Sp(strength) => *strength as f32,
            Regularise::Mixout(_) => 0.0,
        }
    }

    /// Returns how weights are mixed with the first ones, where they are.
    pub(super) fn mixout(&self) -> Option<crate::model::Mixout> {
        match self {
            Regularise::L2Sp(_) => None,
            Regularise::Mixout(Mixout { probability }) => {
                Some(crate::model::Mixout { probability: *probability })
            }
        }
    }

    /// Reports settings that no training can be done with.
    pub(super) fn check(
        &self,
        freeze: Option<&Freeze>,
        adapters: Option<&Adapters>,
        problems: &mut Problems,
    ) {
        match self {
            Regularise::L2Sp(strength) => problems.positive("regularise.l2_sp", *strength),
            Regularise::Mixout(Mixout { probability }) => {
                let field = "regularise.mixout.probability";
                problems.positive(field, *probability);
                problems.share(field, *probability, false);
            }
        }
        for (field, given) in
            [("freeze", freeze == Some(&Freeze::Encoder)), ("adapters", adapters.is_some())]
        {
            if given {
                problems.add(
                    field,
                    "the weights that `regularise` keeps near their beginning are not trained"
                        .to_owned(),
                    "leave one of them out",
                );
            }
        }
    }
}
