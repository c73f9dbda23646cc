//! Classification: cross-entropy over the classes, with class weights and label smoothing.

use std::sync::Arc;

use ndarray::Array2;

use super::contract::{MicroBatch, Objective};
use super::dev_metric::{DevMetric, DevMetrics};
use super::loss::{Counted, Loss, check_labels, class_weights, row, targets, weight};
use super::mixup::{At, Mixup};
use super::r_drop::RDrop;
use crate::data::DataSet;
use crate::engine::backend::binding::Feed;
use crate::engine::graph::build::TARGETS;
use crate::engine::graph::graph::Constant;
use crate::engine::{Dim, Graph, ShapeError, TensorFact, Var};
use crate::metrics;
use crate::model::{Adapts, Config, HeadForm, Network, NetworkOptions};
use crate::stages::inference::predict::probabilities;
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
    /// How much each train text counts beside that; `None` if all count 1.
    weights: Option<&'a [f64]>,
    label_smoothing: f32,
    r_drop: Option<RDrop>,
    mixup: Option<Mixup>,
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
        Ok(Classification {
            data,
            form,
            class_weights: class_weights(loss, data.labels(), &data.train_classes()),
            weights: None,
            label_smoothing: loss.label_smoothing,
            r_drop: loss.r_drop,
            mixup: loss.mixup.clone(),
        })
    }

    /// Gives each train text a weight. The loss of a batch is the mean of its texts' losses, each
    /// as often as it counts; what `r_drop` adds stays the plain mean.
    #[must_use]
    pub fn weighted(self, weights: Option<&'a [f64]>) -> Classification<'a> {
        Classification { weights, ..self }
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

    /// Adds the loss of logits `[B, K]`.
    pub(super) fn loss(&self, g: &mut Graph, logits: Var) -> Result<Var, ShapeError> {
        let logits = match &self.mixup {
            Some(mixup) if mixup.at == At::Vectors => Mixup::graph(g, logits)?,
            _ => logits,
        };
        let loss = g.weighted_cross_entropy(logits)?;
        match self.r_drop {
            Some(_) => {
                let apart = RDrop::graph(g, logits)?;
                g.add(loss, apart)
            }
            None => Ok(loss),
        }
    }

    fn texts_of(&self, indices: &[usize]) -> Vec<Counted> {
        let counts = |index: usize| self.weights.map_or(1.0, |weights| weights[index] as f32);
        let train = &self.data.splits.train;
        indices.iter().map(|&index| (train[index].class(), counts(index))).collect()
    }
}

impl Objective for Classification<'_> {
    type Settings = Loss;

    fn outputs(&self) -> usize {
        self.data.labels().len()
    }

    /// States are mixed by place, of which padding has some too.
    fn packs(&self) -> bool {
        self.mixup.as_ref().is_none_or(|mixup| mixup.layers().is_empty())
    }

    fn network(
        &self,
        config: &Config,
        form: &HeadForm,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        let mixup = self.mixup.as_ref().filter(|_| options.trains());
        let layers = mixup.map_or(&[][..], Mixup::layers);
        Network::mixed(config, form, self.outputs(), options, (adapter, layers))
    }

    fn passes(&self) -> usize {
        if self.r_drop.is_some() { 2 } else { 1 }
    }

    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError> {
        match self.form {
            Form::Targets => self.loss(&mut network.graph, network.output),
            Form::ClassNumbers => {
                let targets = self.targets_of_labels(network)?;
                network.graph.cross_entropy(network.output, targets)
            }
        }
    }

    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        let &MicroBatch { members, batch, batches, key, .. } = micro_batch;
        let texts = self.texts_of(members);
        match self.form {
            Form::Targets => {
                let whole = self.texts_of(batch);
                let passes = self.passes();
                let total = weight(&whole, &self.class_weights) * (batches * passes) as f32;
                let mut values = targets(&texts, &self.class_weights, self.label_smoothing, total);
                let mut feeds = Vec::new();
                if let Some(mixup) = &self.mixup {
                    let mix = mixup.draw(members.len(), key);
                    values = mix.targets(&values, self.outputs());
                    feeds.extend(mix.feeds());
                }
                if let Some(r_drop) = self.r_drop {
                    feeds.extend(r_drop.feeds(members.len(), batch.len() * batches));
                }
                let rows = vec![members.len() * passes, self.outputs()];
                feeds.push((TARGETS.to_owned(), Feed::F32(rows, values.repeat(passes))));
                feeds
            }
            Form::ClassNumbers => {
                let numbers = texts.into_iter().map(|(label, _)| label as i64).collect();
                vec![(LABELS.to_owned(), Feed::I64(vec![members.len()], numbers))]
            }
        }
    }

    fn measure(&self, logits: &Array2<f32>) -> DevMetrics {
        let probabilities = probabilities(logits);
        let rows: Vec<metrics::Row<'_>> = self
            .data
            .splits
            .dev
            .iter()
            .zip(&probabilities)
            .map(|(example, row)| metrics::Row {
                label: example.class(),
                prediction: metrics::argmax(row),
                probabilities: row,
            })
            .collect();
        let mut all = metrics::all(self.data.labels(), &rows);
        let loss = all.get(metrics::nll::NLL.name).copied().unwrap_or(f64::NAN);
        // Loss, accuracy and macro F1 come first: curves have had them for longer than the others.
        let first = ["accuracy", "macro_f1"];
        let names = first.into_iter().chain(metrics::names());
        let values = names.filter_map(|name| all.shift_remove_entry(name));
        let loss = (DevMetric::LOSS.name().to_owned(), loss);
        DevMetrics([loss].into_iter().chain(values).collect())
    }
}
