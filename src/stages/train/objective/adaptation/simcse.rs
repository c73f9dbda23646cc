//! Unsupervised SimCSE (Gao et al. 2021): two vectors of a text, under other dropout masks, find
//! each other among those of other texts.
//!
//! Dimensions: `N` texts of a batch, `E` width of a vector. Rows are the first vectors of all
//! texts, then the second ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::backend::binding::Feed;
use crate::engine::{Dim, Graph, ShapeError, TensorFact, Var};
use crate::model::Network;
use crate::stages::train::objective::contract::{MicroBatch, Objective};
use crate::stages::train::problems::Problems;

/// The inputs i64 `[N]` with the rows of the first and of the second vectors.
const FIRST: &str = "first_rows";
const SECOND: &str = "second_rows";
/// The input f32 `[N, N]` with what each pair of a first and a second vector counts.
const PAIRS: &str = "twin_shares";

/// Reads each text twice, and draws the two vectors together that dropout makes of it, and away
/// from those of the other texts of the batch (Gao et al. 2021, unsupervised).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simcse {
    /// The temperature τ by which cosines are divided.
    #[serde(default = "default_temperature")]
    pub temperature: f64,
}

impl Default for Simcse {
    fn default() -> Simcse {
        Simcse { temperature: default_temperature() }
    }
}

fn default_temperature() -> f64 {
    0.05
}

impl Simcse {
    /// Reports settings that no training can be done with.
    pub(in crate::stages) fn check(&self, at: &str, problems: &mut Problems) {
        problems.positive(&format!("{at}.temperature"), self.temperature);
    }

    /// Adds the loss of unit vectors `z` `[2N, E]` with its inputs: the mean over texts of
    /// −log of the share e^(cos(zᵢ, z'ᵢ)/τ) has in Σⱼ e^(cos(zᵢ, z'ⱼ)/τ) (equation 4).
    pub(super) fn loss(&self, g: &mut Graph, z: Var) -> Result<Var, ShapeError> {
        let rows = || TensorFact::i64(vec![Dim::Named("N")]);
        let (first, second) = (g.input(FIRST, rows()), g.input(SECOND, rows()));
        let (one, two) = (g.gather(z, first)?, g.gather(z, second)?);
        let turned = g.transpose_last(two)?;
        let cosines = g.matmul(one, turned)?; // [N, N]
        let factor = g.scalar((1.0 / self.temperature) as f32);
        let logits = g.mul(cosines, factor)?;
        let targets = g.input(PAIRS, TensorFact::f32(vec![Dim::Named("N"), Dim::Named("N")]));
        g.cross_entropy(logits, targets)
    }

    /// Returns the inputs for so many texts, of so many batches in a step.
    pub(super) fn inputs(texts: usize, batches: usize) -> Vec<(String, Feed)> {
        let rows = |start: usize| (start..start + texts).map(|row| row as i64).collect();
        let share = 1.0 / (texts.max(1) * batches) as f32;
        let pair = |place: usize| if place.is_multiple_of(texts + 1) { share } else { 0.0 };
        let pairs = (0..texts * texts).map(pair).collect();
        vec![
            (FIRST.to_owned(), Feed::I64(vec![texts], rows(0))),
            (SECOND.to_owned(), Feed::I64(vec![texts], rows(texts))),
            (PAIRS.to_owned(), Feed::F32(vec![texts, texts], pairs)),
        ]
    }
}

impl Objective for Simcse {
    type Settings = Simcse;

    /// There is no head.
    fn outputs(&self) -> usize {
        0
    }

    fn passes(&self) -> usize {
        2
    }

    fn compares_texts(&self) -> bool {
        true
    }

    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError> {
        self.loss(&mut network.graph, network.output)
    }

    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        Simcse::inputs(micro_batch.members.len(), micro_batch.batches)
    }
}
