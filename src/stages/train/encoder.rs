//! Training an encoder of ours: from its weights and the recipe to a trainer, and back to whole
//! weights.

use ndarray::ArrayD;
use rand::RngExt as _;

use super::backend::{Choice, Chosen};
use super::config::Train;
use super::freeze::trainable;
use super::r#loop::checkpoint::{self, TrainingState};
use super::r#loop::{self, Fitted};
use super::objective::Objective;
use crate::base::seed::stream;
use crate::engine::backend::binding::Parameters;
use crate::engine::backend::training_api::checkpoint::{LARGEST, MOMENTS};
use crate::engine::{
    ApiTrainer, Artifacts, Clipping, Device, EngineError, Graph, Kernels, Place, Precision, Recipe,
    Runtime, SessionTrainer, Trainer,
};
use crate::model::compact::CompactVocabulary;
use crate::model::input_layout::InputLayout;
use crate::model::{Config, Dropout, Head, Network, NetworkOptions, TrainableNetwork, Weights};
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;
use crate::text::TokenizedText;

/// What is trained on what.
pub struct Job<'a> {
    pub train: &'a Train,
    pub device: Device,
    pub config: &'a Config,
    pub objective: &'a dyn Objective,
    pub train_tokens: &'a [TokenizedText],
    pub dev_tokens: &'a [TokenizedText],
}

/// What came out.
pub struct Trained {
    /// All parameters, the trained ones changed.
    pub weights: Weights,
    pub fitted: Fitted,
    pub trainable_parameters: u64,
    pub backend: Choice,
}

/// Builds the network of a training with its loss.
fn network(
    job: &Job<'_>,
    word_rows: usize,
    kernels: Kernels,
    dropout: Dropout,
) -> Result<TrainableNetwork, EngineError> {
    let options = NetworkOptions { kernels, dropout, word_rows, positions_in_graph: false };
    let network = Network::new(job.config, job.train.model.head, job.objective.outputs(), options)?;
    TrainableNetwork::new(network, |network| job.objective.graph(network))
}

/// Returns a graph with all parameters of an encoder under a head of so many outputs.
pub(super) fn whole(config: &Config, head: Head, outputs: usize) -> Result<Graph, EngineError> {
    let options = NetworkOptions {
        kernels: Kernels::Standard,
        dropout: Dropout::Off,
        word_rows: config.vocabulary,
        positions_in_graph: false,
    };
    Ok(Network::new(config, head, outputs, options)?.graph)
}

/// Trains. Unfinished work in the context's scratch folder is gone on with.
pub fn run(
    ctx: &dyn Ctx,
    runtime: &Runtime,
    job: &Job<'_>,
    mut weights: Weights,
) -> Result<Trained, StageError> {
    // Dev is predicted between epochs with the same table, so its tokens are kept too; they have no
    // gradient and decay like the rest.
    let compact = CompactVocabulary::new(
        job.train_tokens.iter().chain(job.dev_tokens).flat_map(|text| text.ids.iter().copied()),
    );
    let remap = |texts: &[TokenizedText]| -> Vec<TokenizedText> {
        let ids = |text: &TokenizedText| {
            text.ids.iter().map(|&id| compact.compact(id).unwrap_or_default()).collect()
        };
        texts
            .iter()
            .map(|text| TokenizedText { ids: ids(text), truncated: text.truncated })
            .collect()
    };
    let (train_tokens, dev_tokens) = (remap(job.train_tokens), remap(job.dev_tokens));
    let bytes: u64 = weights.values().map(|array| 4 * array.len() as u64).sum();
    let backend = Choice::new(job.train, runtime, bytes * (1 + MOMENTS.len() as u64) < LARGEST);
    ctx.note(&format!("trained by `{}`: {}", backend.name(), backend.reason));
    let (place, precision) = (Place::of(job.device), job.train.precision);
    let kernels = match (place, precision) {
        (Place::Host, Precision::Fp32) => Kernels::Fused,
        _ => Kernels::Standard,
    };
    let dropout = match place {
        Place::Host => Dropout::Keyed,
        Place::Gpu(_) => {
            // A generator that begins anew would repeat its first masks, where a training goes on.
            let goes_on =
                |saved: &TrainingState| saved.epochs <= job.train.stop_after.unwrap_or(u32::MAX);
            let saved = checkpoint::read(ctx.scratch()).map(|(saved, _)| saved).filter(goes_on);
            let steps =
                saved.filter(|_| backend.backend == Chosen::Session).map_or(0, |saved| saved.steps);
            Dropout::Random(stream(ctx.seed(), &["train", "dropout"], steps).random())
        }
    };
    let network = |dropout| network(job, compact.len(), kernels, dropout);
    let TrainableNetwork { network: built, loss } = network(dropout)?;
    let names: Vec<String> = built.graph.parameters().map(|(name, _)| name.to_owned()).collect();
    let trainable = trainable(job.train.freeze.as_ref(), job.config, &built.graph)?;
    let word_table = built.graph.word_table().unwrap_or_default().to_owned();
    let whole_table = std::mem::take(
        weights
            .get_mut(&word_table)
            .ok_or_else(|| EngineError::MissingParameter(word_table.clone()))?,
    );
    weights.insert(word_table.clone(), compact.select(&whole_table));
    let optimizer =
        job.train.optimizer.of_engine(job.train.gradient_clip, &built.graph, &trainable);
    let word_group = optimizer.group_of(&word_table);
    let trained_count = |name: &str| {
        if name == word_table {
            whole_table.len()
        } else {
            weights.get(name).map_or(0, ArrayD::len)
        }
    };
    let trainable_parameters = trainable.iter().map(|name| trained_count(name) as u64).sum();
    let config = optimizer.clone();
    let evaluation = network(Dropout::Off)?;
    let (mut trainer, resumes): (Box<dyn Trainer>, bool) = match backend.backend {
        Chosen::Session => {
            let parameters = Parameters::new(
                place,
                names
                    .iter()
                    .filter_map(|name| weights.get(name).map(|array| (name.as_str(), array))),
            )?;
            let recipe = Recipe { loss, trainable, optimizer, precision };
            let trainer = SessionTrainer::new(runtime, built.graph, parameters, recipe)?;
            (Box::new(trainer.with_evaluation(evaluation.graph_of_logits())), true)
        }
        Chosen::TrainingApi => {
            let artifacts = Artifacts::new(
                built.graph,
                loss,
                &evaluation.graph_of_both(),
                &trainable,
                &optimizer,
                Clipping::InTraining { parts: job.train.accumulation },
                |name| weights.get(name),
            )?;
            let resumes = artifacts.can_resume()?;
            (Box::new(ApiTrainer::new(runtime, job.device, artifacts)?), resumes)
        }
    };
    let fitted = r#loop::run(
        ctx,
        runtime,
        &r#loop::Job {
            train: job.train,
            objective: job.objective,
            train_tokens: &train_tokens,
            dev_tokens: &dev_tokens,
            // A table of fewer rows has ids of its own, of which any may stand under the mask.
            layout: InputLayout { padding_id: 0, ..InputLayout::of(job.config) },
            learning_rates: config.learning_rates(),
            resumes,
            splits: backend.backend == Chosen::Session,
        },
        trainer.as_mut(),
    )?;
    weights.extend(fitted.trained.iter().map(|(name, array)| (name.clone(), array.clone())));
    let words = match word_group {
        Some(group) => {
            // The unused rows follow the epoch whose weights are kept, and no step that was left
            // out. The word table is the lowest parameter, so the curves have its group's rates.
            let kept = fitted.curves.0.iter().take(fitted.kept_steps);
            let taken = kept.filter(|point| !fitted.skipped.contains(&point.step));
            let rates: Vec<f64> = taken.map(|point| point.learning_rate).collect();
            compact.merge(&whole_table, &fitted.trained[&word_table], |row| {
                config.decay_unused_rows(group, &rates, row)
            })
        }
        None => whole_table,
    };
    weights.insert(word_table, words);
    Ok(Trained { weights, fitted, trainable_parameters, backend })
}
