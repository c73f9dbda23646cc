//! Mixup: the vectors of two texts are mixed below the last layer, and so are their targets.

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::seed::stream;
use crate::engine::backend::binding::Feed;
use crate::engine::{Dim, Graph, ShapeError, TensorFact, Var};
use crate::stages::train::problems::Problems;

/// The input i64 `[B]` with the row that each is mixed with.
const PARTNERS: &str = "partners";
/// The input f32 `[B, 1]` with the share that each row keeps of itself.
const SHARES: &str = "shares";

/// Mixup's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mixup {
    /// The α of the distribution Beta(α, α) that shares are drawn from, above 0 and up to 1: small
    /// ones leave most texts nearly as they are, 1 draws evenly.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
}

/// With what, and how much, the texts of a micro-batch are mixed.
pub(super) struct Mix {
    pub partners: Vec<usize>,
    pub shares: Vec<f32>,
}

impl Mixup {
    /// Reports settings that no training can be done with.
    pub(super) fn check(self, problems: &mut Problems) {
        problems.positive("loss.mixup.alpha", self.alpha);
        problems.share("loss.mixup.alpha", self.alpha, true);
    }

    /// Mixes logits `[B, K]`. The last layer is linear, so this is the same as to mix what it
    /// reads: W(λa + (1 − λ)b) + c = λ(Wa + c) + (1 − λ)(Wb + c).
    pub(super) fn graph(g: &mut Graph, logits: Var) -> Result<Var, ShapeError> {
        let partners = g.input(PARTNERS, TensorFact::i64(vec![Dim::Named("B")]));
        let shares = g.input(SHARES, TensorFact::f32(vec![Dim::Named("B"), Dim::Fixed(1)]));
        let others = g.gather(logits, partners)?;
        let apart = g.sub(logits, others)?;
        let kept = g.mul(apart, shares)?;
        g.add(others, kept)
    }

    /// Draws with whom, and how much, so many texts are mixed.
    pub(super) fn draw(self, texts: usize, key: u64) -> Mix {
        let mut random = stream(key, &["train", "mixup"], 0);
        let mut partners: Vec<usize> = (0..texts).collect();
        partners.shuffle(&mut random);
        let shares = (0..texts).map(|_| beta(self.alpha, &mut random) as f32).collect();
        Mix { partners, shares }
    }
}

impl Mix {
    /// Returns the targets `[B, K]` of the mixed texts.
    pub(super) fn targets(&self, targets: &[f32], classes: usize) -> Vec<f32> {
        let rows: Vec<&[f32]> = targets.chunks(classes.max(1)).collect();
        let mixed = |(row, (&partner, &share)): (usize, (&usize, &f32))| {
            let pairs = rows[row].iter().zip(rows[partner]);
            pairs.map(move |(own, other)| share * own + (1.0 - share) * other).collect::<Vec<f32>>()
        };
        self.partners.iter().zip(&self.shares).enumerate().flat_map(mixed).collect()
    }

    /// Returns the inputs of the graph.
    pub(super) fn feeds(self) -> [(String, Feed); 2] {
        let rows = self.partners.len();
        let partners = self.partners.into_iter().map(|row| row as i64).collect();
        [
            (PARTNERS.to_owned(), Feed::I64(vec![rows], partners)),
            (SHARES.to_owned(), Feed::F32(vec![rows, 1], self.shares)),
        ]
    }
}

/// Draws from Beta(α, α) with 0 < α ≤ 1 (Jöhnk 1964).
fn beta(alpha: f64, random: &mut impl Rng) -> f64 {
    loop {
        let mut draw = || random.random::<f64>().powf(1.0 / alpha);
        let (one, two) = (draw(), draw());
        let sum = one + two;
        if sum > 0.0 && sum <= 1.0 {
            return one / sum;
        }
    }
}

fn default_alpha() -> f64 {
    0.4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of Beta(α, α) is 1/2 and its variance 1/(8α + 4).
    #[test]
    fn shares_are_of_beta() {
        for alpha in [0.1, 0.4, 1.0] {
            let mut random = stream(5, &["test"], 0);
            let n = 40_000;
            let values: Vec<f64> = (0..n).map(|_| beta(alpha, &mut random)).collect();
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            let mean = values.iter().sum::<f64>() / f64::from(n);
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
            let expected = 1.0 / (8.0 * alpha + 4.0);
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.03, "{alpha}: {variance} {expected}");
        }
    }

    #[test]
    fn a_mix_follows_its_key() {
        let draw = |key| Mixup { alpha: 0.4 }.draw(9, key);
        let mut partners = draw(1).partners;
        assert_eq!(partners, draw(1).partners);
        assert_ne!(draw(1).shares, draw(2).shares);
        partners.sort_unstable();
        assert_eq!(partners, (0..9).collect::<Vec<_>>(), "each text is a partner once");
    }
}
