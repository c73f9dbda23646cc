//! Mixup: the vectors of two texts are mixed below the last layer, or their states between two
//! layers, and so are their targets.

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::seed::stream;
use crate::engine::backend::binding::Feed;
use crate::engine::{Dim, Graph, ShapeError, TensorFact, Var};
use crate::model::{MIXED_AT, PARTNER_SHARES, PARTNERS};
use crate::stages::train::problems::Problems;

/// The input f32 `[B, 1]` with the share that each row keeps of itself.
const SHARES: &str = "shares";

/// Mixup's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mixup {
    /// The α of the distribution Beta(α, α) that shares are drawn from, above 0: small ones leave
    /// most texts nearly as they are, 1 draws evenly, large ones mix both halves.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// What is mixed.
    #[serde(default, skip_serializing_if = "At::is_vectors")]
    pub at: At,
}

/// What is mixed of two texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// What the last layer reads of them.
    #[default]
    Vectors,
    /// TMix (Chen et al. 2020): the states of all their tokens after so many layers of the
    /// encoder, one of these numbers, which is drawn for each batch; 0 is below the first layer.
    /// Upper layers read the mixed states, at each place where one of both has a token. A text
    /// counts at least as much as its partner. The authors take 7, 9 or 12 of 12 layers, and an α
    /// of 16 for few texts.
    Layers(Vec<usize>),
}

impl At {
    /// Says whether this is the default.
    fn is_vectors(&self) -> bool {
        *self == At::Vectors
    }
}

/// With what, and how much, the texts of a micro-batch are mixed.
pub(super) struct Mix {
    pub partners: Vec<usize>,
    /// What each text keeps of itself.
    pub shares: Vec<f32>,
    /// Of states: which of the given numbers of layers is taken, and how many are given.
    pub place: Option<(usize, usize)>,
}

impl Mixup {
    /// Reports settings that no training can be done with.
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.positive("loss.mixup.alpha", self.alpha);
        let At::Layers(layers) = &self.at else { return };
        let field = "loss.mixup.at.layers";
        if layers.is_empty() {
            let message = "no number of layers is given".to_owned();
            problems.add(field, message, "name some of the upper half, such as `[3, 5, 6]` of 6");
        }
        for (place, count) in layers.iter().enumerate() {
            if layers[..place].contains(count) {
                let message = format!("{count} is given twice");
                problems.add(field, message, "give each number once");
            }
        }
    }

    /// Returns the numbers of layers after which states may be mixed; none where vectors are.
    pub(in crate::stages::train) fn layers(&self) -> &[usize] {
        match &self.at {
            At::Vectors => &[],
            At::Layers(layers) => layers,
        }
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
    pub(super) fn draw(&self, texts: usize, key: u64) -> Mix {
        let mut random = stream(key, &["train", "mixup"], 0);
        let mut partners: Vec<usize> = (0..texts).collect();
        partners.shuffle(&mut random);
        let mut shares: Vec<f32> =
            (0..texts).map(|_| beta(self.alpha, &mut random) as f32).collect();
        let count = self.layers().len();
        let place = (count > 0).then(|| (random.random_range(0..count), count));
        if place.is_some() {
            shares.iter_mut().for_each(|share| *share = share.max(1.0 - *share));
        }
        Mix { partners, shares, place }
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
    pub(super) fn feeds(self) -> Vec<(String, Feed)> {
        let rows = self.partners.len();
        let partners = self.partners.into_iter().map(|row| row as i64).collect();
        let mut feeds = vec![(PARTNERS.to_owned(), Feed::I64(vec![rows], partners))];
        let Some((place, count)) = self.place else {
            feeds.push((SHARES.to_owned(), Feed::F32(vec![rows, 1], self.shares)));
            return feeds;
        };
        let theirs = self.shares.into_iter().map(|share| 1.0 - share).collect();
        let at = (0..count).map(|own| if own == place { 1.0 } else { 0.0 }).collect();
        feeds.push((PARTNER_SHARES.to_owned(), Feed::F32(vec![rows, 1], theirs)));
        feeds.push((MIXED_AT.to_owned(), Feed::F32(vec![count, 1], at)));
        feeds
    }
}

/// Draws from Beta(α, α): by Jöhnk (1964) where α ≤ 1, else as X/(X + Y) of two of Gamma(α).
fn beta(alpha: f64, random: &mut impl Rng) -> f64 {
    if alpha > 1.0 {
        let (one, two) = (gamma(alpha, random), gamma(alpha, random));
        return one / (one + two);
    }
    loop {
        let mut draw = || random.random::<f64>().powf(1.0 / alpha);
        let (one, two) = (draw(), draw());
        let sum = one + two;
        if sum > 0.0 && sum <= 1.0 {
            return one / sum;
        }
    }
}

/// Draws from Gamma(α) with α > 1 (Cheng 1977, algorithm GA).
fn gamma(alpha: f64, random: &mut impl Rng) -> f64 {
    let a = 1.0 / (2.0 * alpha - 1.0).sqrt();
    let b = alpha - 4.0_f64.ln();
    let c = alpha + 1.0 / a;
    loop {
        let (one, two) = (random.random::<f64>(), random.random::<f64>());
        if one <= 0.0 || two <= 0.0 {
            continue;
        }
        let v = a * (one / (1.0 - one)).ln();
        let x = alpha * v.exp();
        if b + c * v - x >= (one * one * two).ln() {
            return x;
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
        for alpha in [0.1, 0.4, 1.0, 1.5, 16.0] {
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
        let draw = |key| Mixup { alpha: 0.4, at: At::Vectors }.draw(9, key);
        let mut partners = draw(1).partners;
        assert_eq!(partners, draw(1).partners);
        assert_ne!(draw(1).shares, draw(2).shares);
        partners.sort_unstable();
        assert_eq!(partners, (0..9).collect::<Vec<_>>(), "each text is a partner once");
    }

    #[test]
    fn layers_are_drawn_and_texts_keep_the_larger_part() {
        let mixup = Mixup { alpha: 16.0, at: At::Layers(vec![1, 2, 4]) };
        let mixes: Vec<Mix> = (0..60).map(|key| mixup.draw(5, key)).collect();
        for place in 0..3 {
            assert!(mixes.iter().any(|mix| mix.place == Some((place, 3))));
        }
        assert!(mixes.iter().flat_map(|mix| &mix.shares).all(|share| (0.5..=1.0).contains(share)));
    }
}
