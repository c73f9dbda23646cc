//! The contrastive losses, as graphs over the vectors of a batch and the numbers that say which of
//! its texts are of one class.
//!
//! Dimensions: `B` rows of a batch, `E` width of a vector. `G` is the matrix of cosines `[B, B]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::backend::binding::Feed;
use crate::engine::graph::graph::Constant;
use crate::engine::{Dim, Graph, ShapeError, TensorFact, Var};

/// What draws the vectors of one class together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContrastiveLoss {
    /// The cosine of every pair of texts in a batch is drawn to 1 within a class and to 0 between
    /// classes: ½·mean (G − 1)² + ½·mean G². Each text is read once.
    #[default]
    AllPairs,
    /// Among all other texts of a batch, those of the same class get the highest share of a softmax
    /// over cosines (Khosla et al. 2020, equation 2).
    Supcon(Supcon),
    /// The farthest text of the same class comes nearer than the nearest of another (Hermans et al.
    /// 2017: batch-hard, soft margin), by 1 − cosine.
    Triplet,
    /// SetFit's own procedure (Tunstall et al. 2022): pairs of texts are drawn, each is read anew,
    /// and its cosine is drawn to 1 or 0. It reads the same texts many times.
    Setfit(Setfit),
}

/// The settings of `supcon`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Supcon {
    /// The temperature τ by which cosines are divided.
    #[serde(default = "default_temperature")]
    pub temperature: f64,
}

/// The settings of `setfit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setfit {
    /// R: each text stands for R pairs of one class and R of two (SetFit's `num_iterations`).
    #[serde(default = "default_iterations")]
    pub iterations: usize,
}

impl Default for Supcon {
    fn default() -> Supcon {
        Supcon { temperature: default_temperature() }
    }
}

impl Default for Setfit {
    fn default() -> Setfit {
        Setfit { iterations: default_iterations() }
    }
}

fn default_temperature() -> f64 {
    0.1
}
fn default_iterations() -> usize {
    20
}

/// A row of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub class: usize,
    /// How much it counts: a pair counts the product of its rows' weights.
    pub weight: f32,
}

/// The inputs of the graphs.
pub(super) const TARGETS: &str = "pair_targets";
pub(super) const WEIGHTS: &str = "pair_weights";
const MASK: &str = "pair_mask";
const ROWS: &str = "row_targets";

/// Farther than any distance, which is at most 2.
const BEYOND: f32 = 10.0;
/// Takes a row out of its own softmax.
const NEVER: f32 = -1e9;

/// Declares an input of one number for each pair of rows.
fn of_pairs(g: &mut Graph, name: &str) -> Var {
    g.input(name, TensorFact::f32(vec![Dim::Named("B"), Dim::Named("B")]))
}

impl ContrastiveLoss {
    /// Adds the loss of unit vectors `z` `[B, E]` with its inputs.
    pub(super) fn graph(&self, g: &mut Graph, z: Var) -> Result<Var, ShapeError> {
        let turned = g.transpose_last(z)?;
        let cosines = g.matmul(z, turned)?; // [B, B]
        match self {
            ContrastiveLoss::AllPairs | ContrastiveLoss::Setfit(_) => squares(g, cosines),
            ContrastiveLoss::Supcon(Supcon { temperature }) => {
                let factor = g.scalar((1.0 / temperature) as f32);
                let logits = g.mul(cosines, factor)?;
                let own = of_pairs(g, MASK);
                let logits = g.add(logits, own)?;
                let targets = of_pairs(g, TARGETS);
                g.cross_entropy(logits, targets)
            }
            ContrastiveLoss::Triplet => triplet(g, cosines),
        }
    }

    /// Returns the inputs for a batch of these rows, of so many batches in a step.
    pub(super) fn feeds(&self, rows: &[Row], batches: usize) -> Vec<(String, Feed)> {
        let shared = 1.0 / batches as f32;
        match self {
            ContrastiveLoss::AllPairs => of_all_pairs(rows, shared),
            ContrastiveLoss::Setfit(_) => of_given_pairs(rows, shared),
            ContrastiveLoss::Supcon(_) => of_neighbours(rows, shared),
            ContrastiveLoss::Triplet => of_triplets(rows, shared),
        }
    }
}

/// Σ weights·(G − targets)².
pub(super) fn squares(g: &mut Graph, cosines: Var) -> Result<Var, ShapeError> {
    let (targets, weights) = (of_pairs(g, TARGETS), of_pairs(g, WEIGHTS));
    let off = g.sub(cosines, targets)?;
    let square = g.mul(off, off)?;
    let weighted = g.mul(square, weights)?;
    g.reduce_sum(weighted, &[], false)
}

/// Σ w·log(1 + e^(d⁺ − d⁻)) with the largest distance d⁺ to a row of the same class and the least
/// d⁻ to one of another.
fn triplet(g: &mut Graph, cosines: Var) -> Result<Var, ShapeError> {
    let (one, beyond) = (g.scalar(1.0), g.scalar(BEYOND));
    let distances = g.sub(one, cosines)?;
    let hardest = |g: &mut Graph, distances: Var, name: &str| {
        // 1 for the pairs that count, 0 for the others.
        let counts = of_pairs(g, name);
        let off = g.sub(counts, one)?;
        let off = g.mul(off, beyond)?;
        let reached = g.add(distances, off)?;
        g.reduce_max(reached, &[1], true) // [B, 1]
    };
    let farthest = hardest(g, distances, TARGETS)?;
    let away = g.neg(distances)?;
    let nearest = hardest(g, away, WEIGHTS)?; // −d⁻
    let margin = g.add(farthest, nearest)?;
    // log(1 + eˣ) is the cross-entropy of the logits [0, x] with the first class.
    let places = g.constant(Constant::F32(vec![1, 2], vec![0.0, 1.0]));
    let logits = g.mul(margin, places)?; // [B, 2]
    let rows = g.input(ROWS, TensorFact::f32(vec![Dim::Named("B"), Dim::Fixed(2)]));
    g.cross_entropy(logits, rows)
}

/// Returns the number of every pair of rows, row by row.
pub(super) fn matrix(size: usize, of: impl Fn(usize, usize) -> f32) -> Feed {
    let values = (0..size).flat_map(|i| (0..size).map(move |j| (i, j)));
    Feed::F32(vec![size, size], values.map(|(i, j)| of(i, j)).collect())
}

/// Every pair counts the product of its weights: those of one class together one half, and those of
/// two together the other.
fn of_all_pairs(rows: &[Row], shared: f32) -> Vec<(String, Feed)> {
    let size = rows.len();
    let same = |i: usize, j: usize| rows[i].class == rows[j].class;
    let product = |i: usize, j: usize| rows[i].weight * rows[j].weight;
    let pairs = (0..size).flat_map(|i| (i + 1..size).map(move |j| (i, j)));
    let (mut within, mut between) = (0.0, 0.0);
    for (i, j) in pairs {
        *(if same(i, j) { &mut within } else { &mut between }) += product(i, j);
    }
    let share = |sum: f32| if sum == 0.0 { 0.0 } else { 0.5 * shared / sum };
    let (within, between) = (share(within), share(between));
    let weight = |i: usize, j: usize| match (i < j, same(i, j)) {
        (false, _) => 0.0,
        (true, true) => within * product(i, j),
        (true, false) => between * product(i, j),
    };
    vec![
        (TARGETS.to_owned(), matrix(size, |i, j| f32::from(u8::from(same(i, j))))),
        (WEIGHTS.to_owned(), matrix(size, weight)),
    ]
}

/// Row 0 and row 1 are a pair, and so on.
fn of_given_pairs(rows: &[Row], shared: f32) -> Vec<(String, Feed)> {
    let size = rows.len();
    let share = shared / (size / 2).max(1) as f32;
    let paired = |i: usize, j: usize| i.is_multiple_of(2) && j == i + 1;
    let same = |i: usize, j: usize| f32::from(u8::from(rows[i].class == rows[j].class));
    vec![
        (TARGETS.to_owned(), matrix(size, same)),
        (WEIGHTS.to_owned(), matrix(size, |i, j| if paired(i, j) { share } else { 0.0 })),
    ]
}

/// A row's targets are the others of its class, in shares by weight. A row that is alone in its
/// class has none.
fn of_neighbours(rows: &[Row], shared: f32) -> Vec<(String, Feed)> {
    let size = rows.len();
    let is_other = |i: usize, j: usize| i != j && rows[i].class == rows[j].class;
    let others = |i: usize| (0..size).filter(|&j| is_other(i, j)).map(|j| rows[j].weight).sum();
    let others: Vec<f32> = (0..size).map(others).collect();
    let anchors = rows.iter().zip(&others).filter(|(_, others)| **others > 0.0);
    let whole: f32 = anchors.map(|(row, _)| row.weight).sum();
    let target = |i: usize, j: usize| match is_other(i, j) {
        true => shared * rows[i].weight * rows[j].weight / (whole * others[i]),
        false => 0.0,
    };
    vec![
        (MASK.to_owned(), matrix(size, |i, j| if i == j { NEVER } else { 0.0 })),
        (TARGETS.to_owned(), matrix(size, target)),
    ]
}

/// A row without another of its class, or without one of another class, does not count.
fn of_triplets(rows: &[Row], shared: f32) -> Vec<(String, Feed)> {
    let size = rows.len();
    let same = |i: usize, j: usize| i != j && rows[i].class == rows[j].class;
    let other = |i: usize, j: usize| rows[i].class != rows[j].class;
    let counts = |i: usize| (0..size).any(|j| same(i, j)) && (0..size).any(|j| other(i, j));
    let weights: Vec<f32> =
        (0..size).map(|i| if counts(i) { rows[i].weight } else { 0.0 }).collect();
    let whole = weights.iter().sum::<f32>();
    let share = if whole == 0.0 { 0.0 } else { shared / whole };
    let shares = weights.iter().flat_map(|weight| [weight * share, 0.0]);
    let number = |is: bool| f32::from(u8::from(is));
    vec![
        (TARGETS.to_owned(), matrix(size, |i, j| number(same(i, j)))),
        (WEIGHTS.to_owned(), matrix(size, |i, j| number(other(i, j)))),
        (ROWS.to_owned(), Feed::F32(vec![size, 2], shares.collect())),
    ]
}
