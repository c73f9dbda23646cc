//! R-Drop: two predictions of a text, under other dropout masks, are to agree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::backend::binding::Feed;
use crate::engine::{Dim, Graph, ShapeError, TensorFact, Var};
use crate::stages::train::problems::Problems;

/// The input i64 `[B]` with the row of each text's other pass.
const TWINS: &str = "twins";
/// The input f32 `[B, 1]` with what a row's divergence counts.
const AGREEMENT: &str = "agreement";

/// R-Drop's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RDrop {
    /// What the divergence of both predictions counts beside their cross-entropy.
    #[serde(default = "default_alpha")]
    pub alpha: f32,
}

impl RDrop {
    /// Reports settings that no training can be done with.
    pub(super) fn check(self, problems: &mut Problems) {
        problems.positive("loss.r_drop.alpha", f64::from(self.alpha));
    }

    /// Adds α/2 · (KL(p‖q) + KL(q‖p)), the mean over the texts, where p and q are the predictions
    /// of both passes: logits `[B, K]` → a scalar. Both have gradients.
    pub(super) fn graph(g: &mut Graph, logits: Var) -> Result<Var, ShapeError> {
        let twins = g.input(TWINS, TensorFact::i64(vec![Dim::Named("B")]));
        let shape = vec![Dim::Named("B"), Dim::Fixed(1)];
        let counts = g.input(AGREEMENT, TensorFact::f32(shape));
        let own = g.log_softmax(logits)?;
        let probabilities = g.exp(own)?;
        let other = g.gather(own, twins)?;
        let apart = g.sub(own, other)?;
        let divergence = g.mul(probabilities, apart)?;
        let divergence = g.mul(divergence, counts)?;
        g.reduce_sum(divergence, &[], false)
    }

    /// Returns the inputs for so many texts, each of which has a row in both passes, of so many
    /// texts in the whole step.
    pub(super) fn feeds(self, texts: usize, of_step: usize) -> [(String, Feed); 2] {
        let rows = 2 * texts;
        let twins = (0..rows).map(|row| ((row + texts) % rows) as i64).collect();
        let count = self.alpha / (2 * of_step) as f32;
        [
            (TWINS.to_owned(), Feed::I64(vec![rows], twins)),
            (AGREEMENT.to_owned(), Feed::F32(vec![rows, 1], vec![count; rows])),
        ]
    }
}

fn default_alpha() -> f32 {
    1.0
}
