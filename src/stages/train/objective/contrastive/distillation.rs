//! The objective of embedding distillation: cosines among texts become those of a teacher.

use ndarray::Array2;

use super::loss::{TARGETS, WEIGHTS, matrix, squares};
use super::objective::unit_vectors;
use crate::engine::backend::binding::Feed;
use crate::engine::{Graph, ShapeError, Var};
use crate::model::Network;
use crate::stages::train::objective::contract::{MicroBatch, Objective};

/// Draws the cosine of every pair of texts in a batch to that of a teacher's vectors: the mean over
/// i < j of (G − G_teacher)² (Tunstall et al. 2022, section 6).
pub struct Distillation {
    /// The teacher's vectors of the texts, of length 1: `[N, E_teacher]`.
    teacher: Array2<f32>,
    /// E, the width of the vectors that learn.
    width: usize,
    /// Whether those are means of windows, which are shorter than 1.
    of_windows: bool,
}

impl Distillation {
    /// Prepares the objective for texts with these vectors of a teacher.
    pub fn new(mut teacher: Array2<f32>, width: usize, of_windows: bool) -> Distillation {
        for mut row in teacher.rows_mut() {
            let length = row.dot(&row).sqrt();
            row /= length.max(f32::MIN_POSITIVE);
        }
        Distillation { teacher, width, of_windows }
    }

    /// Adds the loss of unit vectors `z` `[B, E]` with its inputs.
    pub(super) fn loss(g: &mut Graph, z: Var) -> Result<Var, ShapeError> {
        let turned = g.transpose_last(z)?;
        let cosines = g.matmul(z, turned)?; // [B, B]
        squares(g, cosines)
    }

    fn cosine(&self, one: usize, other: usize) -> f32 {
        let pairs = self.teacher.row(one).into_iter().zip(self.teacher.row(other));
        pairs.map(|(&one, &other)| f64::from(one) * f64::from(other)).sum::<f64>() as f32
    }
}

impl Objective for Distillation {
    type Settings = ();

    fn outputs(&self) -> usize {
        self.width
    }

    fn compares_texts(&self) -> bool {
        true
    }

    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError> {
        let unit = unit_vectors(network, self.of_windows)?;
        Distillation::loss(&mut network.graph, unit)
    }

    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        let texts = micro_batch.members;
        let size = texts.len();
        let pairs = (size * size.saturating_sub(1) / 2).max(1) * micro_batch.batches;
        let share = 1.0 / pairs as f32;
        vec![
            (TARGETS.to_owned(), matrix(size, |i, j| self.cosine(texts[i], texts[j]))),
            (WEIGHTS.to_owned(), matrix(size, |i, j| if i < j { share } else { 0.0 })),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;

    #[test]
    fn every_text_is_in_one_batch_of_many() {
        let objective = Distillation::new(Array2::ones((33, 2)), 2, false);
        let mut random = stream(1, &["test"], 0);
        let batches = objective.batches(&[7; 33], 16, &mut random);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [11, 11, 11]);
        assert_eq!(objective.batches_per_epoch(33, 16), batches.len());
        let mut all = batches.concat();
        assert_ne!(all, (0..33).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..33).collect::<Vec<_>>());
    }
}
