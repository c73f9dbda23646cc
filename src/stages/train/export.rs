//! A recipe as training artifacts, for programs that train with ONNX Runtime's training API
//! themselves.
//!
//! Other than what `pipe` trains from itself, these have operators of the standard only, the whole
//! vocabulary, positions and dropout masks made in the graph, and class numbers for labels. Inputs:
//! `input_ids` and `attention_mask` `[B, L]`, `labels` `[B]`, all i64. The loss is that of the
//! recipe, the mean over a batch; class weights and label smoothing are in it.

use super::adapters::trainable;
use super::config::Train;
use super::objective::{Classification, Form, Objective};
use super::opened;
use super::settings::Settings;
use crate::data::DataSet;
use crate::engine::{Artifacts, Clipping, Kernels};
use crate::model::initial_weights::InitialWeights;
use crate::model::source::resolve;
use crate::model::{Dropout, Network, NetworkOptions, Pretrained, TrainableNetwork};
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
        let settings = self.settings();
        let objective = Classification::new(&settings.loss, data, Form::ClassNumbers)?;
        let folder = resolve::resolve(self.model.name(), folder, report)?;
        let (pretrained, initial) = pretrained(&settings, &folder, seed, data.labels())?;
        report.note(&format!("`{}`: {}", self.model.name(), initial.origin));
        let config = &pretrained.config;
        let build = |dropout| {
            let options = NetworkOptions {
                kernels: Kernels::Standard,
                dropout,
                word_rows: config.vocabulary,
                positions_in_graph: true,
                packed: false,
            };
            let network = Network::new(config, &initial.form, objective.outputs(), options)?;
            TrainableNetwork::new(network, |network| objective.graph(network))
        };
        let TrainableNetwork { network: training, loss } = build(Dropout::Random(0))?;
        let evaluation = build(Dropout::Off)?.graph_of_both();
        let (adapters, freeze) = (settings.adapters.as_ref(), settings.freeze.as_ref());
        let trainable = trainable(adapters, freeze, config, &training.graph)?;
        let optimizer = settings.optimizer(&training.graph, &trainable);
        let weights = initial.weights.all()?;
        let values = |name: &str| weights.get(name);
        Ok(Artifacts::new(
            training.graph,
            loss,
            &evaluation,
            &trainable,
            &optimizer,
            Clipping::InOptimizer,
            values,
        )?)
    }
}

/// Reads the encoder in a folder, and returns it with the weights of the whole network: the head,
/// where the folder has none that serves, is drawn with the seed.
fn pretrained(
    settings: &Settings,
    folder: &std::path::Path,
    seed: u64,
    labels: &[String],
) -> Result<(Pretrained, InitialWeights), StageError> {
    let mut pretrained = opened::read(settings, folder)?;
    let form = pretrained.form(settings.model.head)?;
    if let Some(count) = settings.reinitialise {
        opened::forget(&mut pretrained, count, &form, labels.len())?;
    }
    let weights = pretrained.take_initial_weights(form, labels, seed)?;
    Ok((pretrained, weights))
}
