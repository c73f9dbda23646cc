//! Classification: cross-entropy over the classes, with class weights and label smoothing.

use ndarray::Array2;

use super::contract::{DevMetrics, MicroBatch, Objective};
use crate::data::DataSet;
use crate::engine::backend::binding::Feed;
use crate::engine::graph::build::TARGETS;
use crate::engine::graph::graph::Constant;
use crate::engine::{Dim, ShapeError, TensorFact, Var};
use crate::metrics;
use crate::model::Network;
use crate::stages::inference::predict::probabilities;
use crate::stages::train::config::{ClassWeights, Loss};
use crate::stages::train::error::TrainError;

/// The input i64 `[B]` with the class numbers, in [`Form::ClassNumbers`].
pub const LABELS: &str = "labels";

/// How a training graph takes its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As targets `[B, K]` with class weights, label smoothing and the division by the batch in
    /// them: what `pipe` trains itself.
    Targets,
    /// As class numbers; the loss does the rest: what is exchanged with other programs.
    ClassNumbers,
}

/// Learns the one class of each text by cross-entropy.
pub struct Classification<'a> {
    data: &'a DataSet,
    form: Form,
    /// The weight of each class.
    class_weights: Vec<f32>,
    label_smoothing: f32,
}

impl<'a> Classification<'a> {
    /// Prepares the objective for a data set.
    ///
    /// # Errors
    ///
    /// Fails where given class weights and the labels of the data do not go together.
    pub fn new(
        loss: &Loss,
        data: &'a DataSet,
        form: Form,
    ) -> Result<Classification<'a>, TrainError> {
        check_labels(loss, data)?;
        let (class_weights, label_smoothing) = (class_weights(loss, data), loss.label_smoothing);
        Ok(Classification { data, form, class_weights, label_smoothing })
    }

    /// Adds the input `labels` `[B]` and returns the targets `[B, K]` of the whole batch.
    fn targets_of_labels(&self, network: &mut Network) -> Result<Var, ShapeError> {
        let (g, weights, classes) =
            (&mut network.graph, &self.class_weights, self.class_weights.len());
        let labels = g.input(LABELS, TensorFact::i64(vec![Dim::Named("B")]));
        let rows =
            (0..classes).flat_map(|label| row(label, weights, self.label_smoothing)).collect();
        let rows = g.constant(Constant::F32(vec![classes, classes], rows));
        let rows = g.gather(rows, labels)?; // [B, K]
        let counts = g.constant(Constant::F32(vec![classes, 1], weights.clone()));
        let counts = g.gather(counts, labels)?; // [B, 1]
        let total = g.reduce_sum(counts, &[], false)?;
        // A batch of classes that count nothing has no loss, as in `targets`; beside any other
        // weight this is nothing.
        let tiny = g.scalar(1e-30);
        let total = g.add(total, tiny)?;
        g.div(rows, total)
    }

    fn labels_of(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().map(|&index| self.data.train[index].label).collect()
    }
}

impl Objective for Classification<'_> {
    type Settings = Loss;

    fn outputs(&self) -> usize {
        self.data.labels.len()
    }

    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError> {
        match self.form {
            Form::Targets => network.graph.weighted_cross_entropy(network.logits),
            Form::ClassNumbers => {
                let targets = self.targets_of_labels(network)?;
                network.graph.cross_entropy(network.logits, targets)
            }
        }
    }

    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        let &MicroBatch { members, batch, batches } = micro_batch;
        let labels = self.labels_of(members);
        vec![match self.form {
            Form::Targets => {
                let whole = self.labels_of(batch);
                let total = weight(&whole, &self.class_weights) * batches as f32;
                let values = targets(&labels, &self.class_weights, self.label_smoothing, total);
                (TARGETS.to_owned(), Feed::F32(vec![members.len(), self.outputs()], values))
            }
            Form::ClassNumbers => {
                let numbers = labels.into_iter().map(|label| label as i64).collect();
                (LABELS.to_owned(), Feed::I64(vec![members.len()], numbers))
            }
        }]
    }

    fn measure(&self, logits: &Array2<f32>) -> DevMetrics {
        let probabilities = probabilities(logits);
        let rows: Vec<metrics::Row<'_>> = self
            .data
            .dev
            .iter()
            .zip(&probabilities)
            .map(|(example, row)| metrics::Row {
                label: example.label,
                prediction: metrics::argmax(row),
                probabilities: row,
            })
            .collect();
        let counts = metrics::Counts::of(self.outputs(), &rows);
        DevMetrics {
            loss: metrics::nll::nll(&rows),
            accuracy: metrics::accuracy::accuracy(&counts),
            macro_f1: metrics::f1::macro_f1(&counts),
        }
    }
}

/// Checks that given class weights name the labels of the data, each of them.
fn check_labels(loss: &Loss, data: &DataSet) -> Result<(), TrainError> {
    let Some(ClassWeights::Given(weights)) = &loss.class_weights else { return Ok(()) };
    if let Some(name) = weights.keys().find(|name| !data.labels.contains(name)) {
        return Err(TrainError::UnknownClass {
            name: name.clone(),
            labels: data.labels.join(", "),
        });
    }
    match data.labels.iter().find(|label| !weights.contains_key(*label)) {
        Some(name) => Err(TrainError::MissingClass { name: name.clone() }),
        None => Ok(()),
    }
}

/// Returns what each class counts: 1 throughout, n/(K·n_c) or as given. A class without a train
/// example counts 0 when balanced.
fn class_weights(loss: &Loss, data: &DataSet) -> Vec<f32> {
    let classes = data.labels.len();
    match &loss.class_weights {
        None => vec![1.0; classes],
        Some(ClassWeights::Given(weights)) => {
            data.labels.iter().map(|label| weights.get(label).copied().unwrap_or(1.0)).collect()
        }
        Some(ClassWeights::Balanced) => {
            let mut counts = vec![0usize; classes];
            for example in &data.train {
                counts[example.label] += 1;
            }
            counts
                .into_iter()
                .map(|count| {
                    if count == 0 {
                        0.0
                    } else {
                        data.train.len() as f32 / (classes * count) as f32
                    }
                })
                .collect()
        }
    }
}

/// Returns what a batch counts: the sum of its labels' weights.
fn weight(labels: &[usize], weights: &[f32]) -> f32 {
    labels.iter().map(|&label| weights[label]).sum()
}

/// Returns the targets `[B, K]` for which −Σ targets·log softmax(logits) is the share that these
/// examples have in PyTorch's `CrossEntropyLoss(weight, label_smoothing)` with mean reduction over
/// a batch that counts `total`.
fn targets(labels: &[usize], weights: &[f32], smoothing: f32, total: f32) -> Vec<f32> {
    let scale = if total > 0.0 { 1.0 / total } else { 0.0 };
    labels
        .iter()
        .flat_map(|&label| row(label, weights, smoothing))
        .map(|target| target * scale)
        .collect()
}

/// Returns the targets `[K]` of one text before the division by the batch's weight.
fn row(label: usize, weights: &[f32], smoothing: f32) -> Vec<f32> {
    let classes = weights.len() as f32;
    let target = |(class, weight): (usize, &f32)| {
        let own = if class == label { (1.0 - smoothing) * weight } else { 0.0 };
        own + smoothing / classes * weight
    };
    weights.iter().enumerate().map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// −Σ targets·log softmax(logits) for logits [[1, 2, 0.5], [0, -1, 3]], labels [2, 0], against
    /// torch 2.15 `CrossEntropyLoss(weight=[1, 2, 0.5], label_smoothing=0.1)`.
    #[test]
    fn is_pytorchs_weighted_smoothed_mean() {
        let logits = [[1.0f64, 2.0, 0.5], [0.0, -1.0, 3.0]];
        let loss = |weights: &[f32], smoothing: f32| {
            let targets = targets(&[2, 0], weights, smoothing, weight(&[2, 0], weights));
            let mut loss = 0.0;
            for (row, logits) in logits.iter().enumerate() {
                let normalizer = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
                for (class, logit) in logits.iter().enumerate() {
                    loss -= f64::from(targets[row * 3 + class]) * (logit - normalizer);
                }
            }
            loss
        };
        for (weights, smoothing, expected) in RECORDED {
            assert!(
                (loss(&weights, smoothing) - expected).abs() < 1e-6,
                "{weights:?} {smoothing}: {} {expected}",
                loss(&weights, smoothing)
            );
        }
    }

    const RECORDED: [([f32; 3], f32, f64); 3] = [
        ([1.0, 1.0, 1.0], 0.0, 2.515_126_343_9),
        ([1.0, 1.0, 1.0], 0.1, 2.448_459_677_3),
        ([1.0, 2.0, 0.5], 0.1, 2.753_416_186_5),
    ];
}
