//! The objective of contrastive learning.

use rand::Rng;

use super::batches::ByClass;
use super::loss::{ContrastiveLoss, Row, Setfit};
use super::pairs;
use crate::engine::backend::binding::Feed;
use crate::engine::{ShapeError, Var};
use crate::model::Network;
use crate::stages::train::objective::contract::{MicroBatch, Objective};

/// Draws the vectors of one class together and those of others apart.
///
/// Its texts are those of train, then the label texts of the classes. A label text counts as much
/// as all texts of its class in the batch, as if it were in the data as often as they are.
pub struct Contrastive<'a> {
    loss: &'a ContrastiveLoss,
    /// The class of each text of train.
    labels: Vec<usize>,
    by_class: ByClass,
    /// E, the width of the vectors.
    width: usize,
    /// Whether vectors are means of those of windows, which are shorter than 1.
    of_windows: bool,
}

impl<'a> Contrastive<'a> {
    /// Prepares the objective for texts of these classes. With label texts, that of class `c`
    /// follows the texts in place `c`.
    pub fn new(
        loss: &'a ContrastiveLoss,
        labels: Vec<usize>,
        label_texts: usize,
        width: usize,
        of_windows: bool,
    ) -> Contrastive<'a> {
        let own: Vec<usize> = (labels.len()..labels.len() + label_texts).collect();
        let by_class = ByClass::new(&labels, &own);
        Contrastive { loss, labels, by_class, width, of_windows }
    }

    /// Returns the rows of a batch.
    fn rows(&self, members: &[usize]) -> Vec<Row> {
        let of_class = |class: usize| {
            let own = members.iter().filter_map(|&text| self.labels.get(text));
            own.filter(|&&other| other == class).count()
        };
        let row = |&text: &usize| match self.labels.get(text) {
            Some(&class) => Row { class, weight: 1.0 },
            None => {
                let class = text - self.labels.len();
                Row { class, weight: of_class(class) as f32 }
            }
        };
        members.iter().map(row).collect()
    }
}

impl Objective for Contrastive<'_> {
    type Settings = ContrastiveLoss;

    fn outputs(&self) -> usize {
        self.width
    }

    fn compares_texts(&self) -> bool {
        true
    }

    fn batches_per_epoch(&self, _texts: usize, batch_size: usize) -> usize {
        match self.loss {
            ContrastiveLoss::Setfit(Setfit { iterations }) => {
                (2 * iterations * self.labels.len()).div_ceil(batch_size.max(1))
            }
            _ => self.by_class.count(batch_size),
        }
    }

    fn batches(
        &self,
        _lengths: &[usize],
        batch_size: usize,
        random: &mut dyn Rng,
    ) -> Vec<Vec<usize>> {
        match self.loss {
            ContrastiveLoss::Setfit(Setfit { iterations }) => {
                pairs::batches(&self.labels, *iterations, batch_size, random)
            }
            _ => self.by_class.batches(batch_size, random),
        }
    }

    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError> {
        let unit = unit_vectors(network, self.of_windows)?;
        self.loss.graph(&mut network.graph, unit)
    }

    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        self.loss.feeds(&self.rows(micro_batch.members), micro_batch.batches)
    }
}

/// Returns a network's vectors `[B, E]` with length 1, which means of windows have not.
pub(super) fn unit_vectors(network: &mut Network, of_windows: bool) -> Result<Var, ShapeError> {
    match of_windows {
        true => network.graph.scaled_to_one(network.output),
        false => Ok(network.output),
    }
}
