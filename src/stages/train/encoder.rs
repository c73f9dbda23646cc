//! Training an encoder of ours: from its weights and the recipe to a trainer, and back to whole
//! weights.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ndarray::ArrayD;
use rand::RngExt as _;

use super::adapters::{Adapters, trainable};
use super::average::follow;
use super::backend::{Choice, Chosen};
use super::r#loop::checkpoint::{self, TrainingState};
use super::r#loop::{self, Fitted};
use super::objective::Objective;
use super::regularise::Regularise;
use super::settings::Settings;
use crate::base::seed::stream;
use crate::data::curves::CurvePoint;
use crate::engine::backend::binding::Parameters;
use crate::engine::backend::training_api::checkpoint::{LARGEST, MOMENTS};
use crate::engine::{
    ApiTrainer, Artifacts, Clipping, Device, EngineError, Kernels, OptimizerConfig, Place,
    Precision, Recipe, Runtime, SessionTrainer, Trainer,
};
use crate::model::compact::CompactVocabulary;
use crate::model::input_layout::InputLayout;
use crate::model::{
    Adapts, Config, Dropout, HeadForm, Mixout, Network, NetworkOptions, TrainableNetwork, Weights,
    init,
};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::TrainingSummary;
use crate::stages::contract::stage::Ctx;
use crate::text::{Combine, TokenizedText};

/// What is trained on what.
pub struct Job<'a> {
    pub settings: &'a Settings,
    pub device: Device,
    pub config: &'a Config,
    pub form: &'a HeadForm,
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
    /// The files of the adapter that is merged, where they are asked for.
    pub adapter: BTreeMap<String, Vec<u8>>,
}

impl Trained {
    /// Returns what the training took, and says what was unusual.
    pub fn summary(&self, ctx: &dyn Ctx, settings: &Settings) -> TrainingSummary {
        let parameters = self.weights.values().map(|array| array.len() as u64).sum();
        let trained = (self.trainable_parameters, parameters);
        summary(ctx, settings, (&self.fitted, &self.backend), trained)
    }
}

/// Returns what a training took, and says what was unusual. `parameters` are the trained and all.
pub fn summary(
    ctx: &dyn Ctx,
    settings: &Settings,
    (fitted, backend): (&Fitted, &Choice),
    (trainable_parameters, parameters): (u64, u64),
) -> TrainingSummary {
    if fitted.micro_batches > 1 {
        ctx.note(&format!(
            "batches of {} were computed in up to {} parts; the steps are the same as with whole \
             batches, except for the dropout masks",
            settings.batch_size, fitted.micro_batches
        ));
    }
    if !fitted.skipped.is_empty() {
        ctx.note(&format!(
            "{} of {} steps were skipped because gradients overflowed; the loss scale was halved \
             after each",
            fitted.skipped.len(),
            fitted.steps
        ));
    }
    let scales = settings.precision.scales_loss();
    TrainingSummary {
        steps: fitted.steps,
        seconds: fitted.seconds,
        backend: backend.name().to_owned(),
        backend_reason: backend.reason.clone(),
        trainable_parameters,
        parameters,
        best_epoch: fitted.best_epoch,
        parts: (fitted.micro_batches > 1).then_some(fitted.micro_batches as u64),
        skipped_steps: scales.then_some(fitted.skipped.len() as u64),
        encodings: Some(fitted.encodings),
        ..TrainingSummary::default()
    }
}

/// Builds the network of a training with its loss.
fn network(
    job: &Job<'_>,
    word_rows: usize,
    kernels: Kernels,
    dropout: Dropout,
    combine: Option<Combine>,
) -> Result<TrainableNetwork, EngineError> {
    // What is trained on a GPU keeps the rows of padding, whose gathering would cost as much there.
    let packed = kernels == Kernels::Fused && job.objective.packs();
    let options = NetworkOptions { kernels, dropout, word_rows, positions_in_graph: false, packed };
    let adapter = job.settings.adapters.as_ref().and_then(Adapters::adapter);
    let adapter = adapter.map(|adapter| adapter as Arc<dyn Adapts>);
    let mixout = mixout(job.settings).filter(|_| options.trains());
    let adapter = adapter.or(mixout.map(|mixout| Arc::new(mixout) as Arc<dyn Adapts>));
    let mut network = job.objective.network(job.config, job.form, options, adapter)?;
    if let Some(combine) = combine {
        network.combine_windows(combine)?;
    }
    TrainableNetwork::new(network, |network| job.objective.graph(network))
}

fn mixout(settings: &Settings) -> Option<Mixout> {
    settings.regularise.as_ref().and_then(Regularise::mixout)
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
    let read = job.train_tokens.iter().chain(job.dev_tokens);
    let compact = match job.objective.reads_vocabulary() {
        true => CompactVocabulary::new(0..job.config.vocabulary as u32),
        false => CompactVocabulary::new(read.flat_map(|text| text.all_ids().flatten().copied())),
    };
    let (train_tokens, dev_tokens) =
        (remap(&compact, job.train_tokens), remap(&compact, job.dev_tokens));
    warn_of_equal_passes(ctx, job);
    let bytes: u64 = weights.values().map(|array| 4 * array.len() as u64).sum();
    let backend = Choice::new(job.settings, runtime, bytes * (1 + MOMENTS.len() as u64) < LARGEST);
    ctx.note(&format!("trained by `{}`: {}", backend.name(), backend.reason));
    let place = Place::of(job.device);
    let kernels = match (place, job.settings.precision) {
        (Place::Host, Precision::Fp32) => Kernels::Fused,
        _ => Kernels::Standard,
    };
    let dropout = dropout(ctx, job, place, backend.backend);
    let combine = job.settings.windows.map(|windows| windows.combine);
    let training = network(job, compact.len(), kernels, dropout, combine)?;
    let graph = &training.network.graph;
    let adapters = job.settings.adapters.as_ref();
    if let Some(adapters) = adapters {
        let rate = job.settings.optimizer.learning_rate();
        adapters.begin(ctx, rate, &training.network, job.config, job.form)?;
    }
    let trainable = trainable(adapters, job.settings.freeze.as_ref(), job.config, graph)?;
    let word_table = graph.word_table().unwrap_or_default().to_owned();
    let whole_table = std::mem::take(
        weights
            .get_mut(&word_table)
            .ok_or_else(|| EngineError::MissingParameter(word_table.clone()))?,
    );
    weights.insert(word_table.clone(), compact.select(&whole_table));
    if adapters.is_some() {
        let is_there = |name: &str, shape: &[usize]| {
            weights.get(name).is_some_and(|array| array.shape() == shape)
        };
        let drawn = init::missing(graph, job.config, is_there, ctx.seed());
        weights.extend(drawn);
    }
    let modules = training.network.modules.clone();
    if mixout(job.settings).is_some() {
        Mixout::begin(&modules, &mut weights)?;
    }
    let size = |name: &String| match weights.get(name) {
        // Counted whole, though only the rows that occur are trained.
        _ if *name == word_table => whole_table.len() as u64,
        array => array.map_or(0, |array| array.len() as u64),
    };
    let trainable_parameters = trainable.iter().map(size).sum();
    let numbers = |name: &String| weights.get(name).map_or(0, |array| array.len() as u64);
    let state_bytes = 4 * (1 + MOMENTS.len() as u64) * trainable.iter().map(numbers).sum::<u64>();
    let optimizer = job.settings.optimizer(graph, &trainable);
    // Windows are predicted one by one, however many a text has.
    let evaluation = network(job, compact.len(), kernels, Dropout::Off, None)?;
    let trained: BTreeSet<String> = trainable.iter().cloned().collect();
    let plan = TrainerPlan { training, evaluation, trainable, optimizer: &optimizer };
    let (mut trainer, resumes) = match backend.backend {
        Chosen::Session => (plan.session(runtime, job, place, &weights)?, true),
        Chosen::TrainingApi => plan.training_api(runtime, job, &weights)?,
    };
    // The trainer has them now, and gives them back.
    weights.retain(|name, _| !trained.contains(name));
    let loop_job = r#loop::Job {
        settings: job.settings,
        objective: job.objective,
        train_tokens: &train_tokens,
        dev_tokens: &dev_tokens,
        combine,
        // A table of fewer rows has ids of its own, of which any may stand under the mask.
        layout: InputLayout { padding_id: 0, ..InputLayout::of(job.config) },
        learning_rates: optimizer.learning_rates(),
        resumes,
        splits: backend.backend == Chosen::Session && job.objective.splits(),
        state_bytes,
    };
    let mut fitted = r#loop::run(ctx, runtime, &loop_job, trainer.as_mut())?;
    drop(trainer);
    Mixout::end(&modules, &mut weights);
    let words = whole_words(&compact, &word_table, whole_table, &optimizer, &fitted);
    weights.extend(std::mem::take(&mut fitted.trained));
    weights.insert(word_table, words);
    let adapter = merged(ctx, job, compact.len(), kernels, &mut weights)?;
    Ok(Trained { weights, fitted, trainable_parameters, backend, adapter })
}

/// Merges what adapters have learnt into the weights, and returns the files that are asked for.
fn merged(
    ctx: &dyn Ctx,
    job: &Job<'_>,
    word_rows: usize,
    kernels: Kernels,
    weights: &mut Weights,
) -> Result<BTreeMap<String, Vec<u8>>, StageError> {
    let Some(adapters) = &job.settings.adapters else { return Ok(BTreeMap::new()) };
    let network = network(job, word_rows, kernels, Dropout::Off, None)?.network;
    let pretrained = ctx.secrets().hide(job.settings.model.name());
    adapters.merge(&pretrained, &network, job.config, weights)
}

/// Warns where nothing tells two passes over a text apart.
fn warn_of_equal_passes(ctx: &dyn Ctx, job: &Job<'_>) {
    let config = job.config;
    let rates = [config.hidden_dropout, config.attention_dropout, config.classifier_dropout];
    let is_equal = rates.iter().all(|rate| *rate == 0.0) && job.settings.adapters.is_none();
    if job.objective.passes() > 1 && is_equal {
        ctx.warn(
            "`r_drop` compares two predictions of a text, but the model's configuration has no \
             dropout that tells them apart; add `dropout: 0.1`",
        );
    }
}

/// Returns texts with the ids of a compact vocabulary.
fn remap(compact: &CompactVocabulary, texts: &[TokenizedText]) -> Vec<TokenizedText> {
    let compact_id = |id| compact.compact(id).unwrap_or_default();
    texts.iter().map(|text| text.map_ids(compact_id)).collect()
}

/// Returns where the dropout masks of a training come from.
fn dropout(ctx: &dyn Ctx, job: &Job<'_>, place: Place, backend: Chosen) -> Dropout {
    match place {
        Place::Host => Dropout::Keyed,
        Place::Gpu(_) => {
            // A generator that begins anew would repeat its first masks, where a training goes on.
            let goes_on =
                |state: &TrainingState| state.epochs <= job.settings.stop_after.unwrap_or(u32::MAX);
            let state = checkpoint::read(ctx.scratch()).map(|(state, _)| state).filter(goes_on);
            let steps = state.filter(|_| backend == Chosen::Session).map_or(0, |state| state.steps);
            Dropout::Random(stream(ctx.seed(), &["train", "dropout"], steps).random())
        }
    }
}

/// What a trainer is opened with.
struct TrainerPlan<'a> {
    training: TrainableNetwork,
    evaluation: TrainableNetwork,
    trainable: Vec<String>,
    optimizer: &'a OptimizerConfig,
}

impl TrainerPlan<'_> {
    fn session(
        self,
        runtime: &Runtime,
        job: &Job<'_>,
        place: Place,
        weights: &Weights,
    ) -> Result<Box<dyn Trainer>, EngineError> {
        let TrainableNetwork { network: Network { graph, .. }, loss } = self.training;
        let named =
            graph.parameters().filter_map(|(name, _)| weights.get(name).map(|array| (name, array)));
        let parameters = Parameters::new(place, named)?;
        let (optimizer, precision) = (self.optimizer.clone(), job.settings.precision);
        let recipe = Recipe { loss, trainable: self.trainable, optimizer, precision };
        let trainer = SessionTrainer::new(runtime, graph, parameters, recipe)?;
        Ok(Box::new(trainer.with_evaluation(self.evaluation.graph_of_logits())))
    }

    /// Returns the trainer, and whether a checkpoint of the API holds all of its state.
    fn training_api(
        self,
        runtime: &Runtime,
        job: &Job<'_>,
        weights: &Weights,
    ) -> Result<(Box<dyn Trainer>, bool), EngineError> {
        let artifacts = Artifacts::new(
            self.training.network.graph,
            self.training.loss,
            &self.evaluation.graph_of_both(),
            &self.trainable,
            self.optimizer,
            Clipping::InTraining { parts: job.settings.accumulation },
            |name| weights.get(name),
        )?;
        let resumes = artifacts.can_resume()?;
        Ok((Box::new(ApiTrainer::new(runtime, job.device, artifacts)?), resumes))
    }
}

/// Returns the word table after training: the trained rows, and the others with their decay.
fn whole_words(
    compact: &CompactVocabulary,
    word_table: &str,
    whole_table: ArrayD<f32>,
    optimizer: &OptimizerConfig,
    fitted: &Fitted,
) -> ArrayD<f32> {
    let Some(group) = optimizer.group_of(word_table) else { return whole_table };
    // The unused rows follow the epoch whose weights are kept, and no step that was left out. The
    // word table is the lowest parameter, so the curves have its group's rates.
    let kept = fitted.curves.0.iter().take(fitted.kept_steps);
    let rate =
        |point: &CurvePoint| (!fitted.skipped.contains(&point.step)).then_some(point.learning_rate);
    let rates: Vec<Option<f64>> = kept.map(rate).collect();
    compact.merge(whole_table, &fitted.trained[word_table], |row| {
        if fitted.shares.is_empty() {
            return optimizer.decay_unused_rows(group, &rates, row, &mut |_, _| ());
        }
        // Averages begin with the weights before the first step, or are overwritten by the first
        // that counts.
        let mut averages = row.to_vec();
        optimizer.decay_unused_rows(group, &rates, row, &mut |step, values| {
            if let Some(share) = fitted.shares.get(step).copied().flatten() {
                follow(&mut averages, values, share);
            }
        });
        row.copy_from_slice(&averages);
    })
}
