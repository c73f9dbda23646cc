//! A recipe as training artifacts, for programs that train with ONNX Runtime's training API
//! themselves.
//!
//! Other than what `pipe` trains from itself, these have operators of the standard only, the whole
//! vocabulary, positions and dropout masks made in the graph, and class numbers for labels. Inputs:
//! `input_ids` and `attention_mask` `[B, L]`, `labels` `[B]`, all i64. The loss is that of the
//! recipe, the mean over a batch; class weights and label smoothing are in it.

use super::config::Train;
use super::encoder::{optimizer, trainable};
use super::targets;
use crate::data::DataSet;
use crate::engine::backend::training_api::artifacts::{LOGITS, LOSS};
use crate::engine::graph::graph::Constant;
use crate::engine::{Artifacts, Clipping, Dim, EngineError, Kernels, TensorFact, Var};
use crate::model::{Config, Dropout, Network, NetworkOptions};
use crate::stages::contract::error::StageError;

impl Train {
    /// Returns the artifacts of a recipe that [`super::backend::misfit`] has nothing against, for a
    /// data set's classes, from the pretrained weights and a head drawn with the seed.
    pub fn artifacts(
        &self,
        folder: &std::path::Path,
        seed: u64,
        data: &DataSet,
        report: &dyn crate::base::report::Report,
    ) -> Result<Artifacts, StageError> {
        self.check_labels(data)?;
        let (pretrained, weights) = self.pretrained(folder, seed, data.labels().len(), report)?;
        let class_weights = targets::class_weights(&self.loss, data);
        let smoothing = self.loss.label_smoothing;
        let build = |dropout| network(&pretrained.config, self, &class_weights, smoothing, dropout);
        let (training, loss) = build(Dropout::Random(0))?;
        let (mut evaluation, eval_loss) = build(Dropout::Off)?;
        evaluation.graph.output(LOSS, eval_loss);
        evaluation.graph.output(LOGITS, evaluation.logits);
        let trainable = trainable(self, &pretrained.config, &training.graph)?;
        let optimizer = optimizer(&self.optimizer, self.gradient_clip, &training.graph, &trainable);
        let values = |name: &str| weights.get(name);
        Ok(Artifacts::new(
            training.graph,
            loss,
            &evaluation.graph,
            &trainable,
            &optimizer,
            Clipping::InOptimizer,
            values,
        )?)
    }
}

fn network(
    config: &Config,
    train: &Train,
    class_weights: &[f32],
    smoothing: f32,
    dropout: Dropout,
) -> Result<(Network, Var), EngineError> {
    let classes = class_weights.len();
    let options = NetworkOptions {
        kernels: Kernels::Standard,
        dropout,
        word_rows: config.vocabulary,
        positions_in_graph: true,
    };
    let mut network = Network::new(config, train.model.head, classes, options)?;
    let g = &mut network.graph;
    let labels = g.input("labels", TensorFact::i64(vec![Dim::Named("B")]));
    let rows =
        (0..classes).flat_map(|label| targets::row(label, class_weights, smoothing)).collect();
    let rows = g.constant(Constant::F32(vec![classes, classes], rows));
    let rows = g.gather(rows, labels)?; // [B, K]
    let counts = g.constant(Constant::F32(vec![classes, 1], class_weights.to_vec()));
    let counts = g.gather(counts, labels)?; // [B, 1]
    let total = g.reduce_sum(counts, &[], false)?;
    // A batch of classes that count nothing has no loss, as in `targets`; beside any other weight
    // this is nothing.
    let tiny = g.scalar(1e-30);
    let total = g.add(total, tiny)?;
    let targets = g.div(rows, total)?;
    let loss = g.cross_entropy(network.logits, targets)?;
    Ok((network, loss))
}
