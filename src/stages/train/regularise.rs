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
}

impl Regularise {
    /// Returns the strength λ of the pull towards the first weights.
    pub(super) fn pull(&self) -> f32 {
        let Regularise::L2Sp(strength) = self;
        *strength as f32
    }

    /// Reports settings that no training can be done with.
    pub(super) fn check(
        &self,
        freeze: Option<&Freeze>,
        adapters: Option<&Adapters>,
        problems: &mut Problems,
    ) {
        let Regularise::L2Sp(strength) = self;
        problems.positive("regularise.l2_sp", *strength);
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
