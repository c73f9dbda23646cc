//! The training loop.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayD};

use super::checkpoint::{self, Progress as Saved, Tensors};
use super::config::{Freeze, Monitor, Optimizer, Schedule, Train};
use super::plateau::Plateau;
use super::stage::TrainError;
use super::watch::{DevMetrics, Watch};
use super::{schedule, targets};
use crate::base::clock::Stopwatch;
use crate::base::report::Progress;
use crate::base::seed::stream;
use crate::engine::binding::{Feed, Parameters};
use crate::engine::{
    Algorithm, Dim, EngineError, Group, Kernels, OptimizerConfig, Runtime, SessionTrainer, TensorFact,
};
use crate::model::compact::CompactVocabulary;
use crate::model::freeze::{Frozen, is_head, is_spared_from_decay};
use crate::model::names::WORD_EMBEDDINGS;
use crate::model::{Config, Network, NetworkOptions, Weights};
use crate::stages::predict::{Predictor, feeds, probabilities};
use crate::stages::stage::{Ctx, Interrupted, StageError};
use crate::table::{Curves, DataSet, curves::CurvePoint, metrics};
use crate::text::{TokenizedText, batch};

/// Checkpoints are written at the ends of epochs, at most this often in seconds: a shorter time of work is quicker done again than saved.
const CHECKPOINT_SECONDS: f64 = 2.0;
/// The work between two checkpoints takes at least this many times as long as writing one: large models on slow disks train on.
const CHECKPOINT_SHARE: f64 = 10.0;

/// The loss became infinite or not a number.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the loss is {loss} at step {step} with learning rate {learning_rate:e}")]
#[diagnostic(help(
    "try a learning rate a tenth of it, a `gradient_clip` of 1.0, or a schedule with `warmup: 0.1`"
))]
pub struct NotFinite {
    pub loss: f32,
    pub step: u64,
    pub learning_rate: f64,
}

/// The gradients became infinite or not a number, and the weights with them.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the gradients' norm is {norm} at step {step} with learning rate {learning_rate:e}")]
#[diagnostic(help("try a learning rate a tenth of it, or a schedule with `warmup: 0.1`"))]
pub struct BadGradient {
    pub norm: f32,
    pub step: u64,
    pub learning_rate: f64,
}

/// The state of training could not be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the checkpoint cannot be written")]
#[diagnostic(help("free some disk space; `pipe gc` removes cached results that no run uses"))]
pub struct NotSaved(#[source] pub std::io::Error);

/// What is trained on what.
pub struct Job<'a> {
    pub train: &'a Train,
    pub config: &'a Config,
    pub data: &'a DataSet,
    pub train_tokens: &'a [TokenizedText],
    pub dev_tokens: &'a [TokenizedText],
}

/// What came out.
pub struct Trained {
    /// All parameters, the trained ones changed.
    pub weights: Weights,
    pub curves: Curves,
    pub steps: u64,
    pub seconds: f64,
    pub trainable_parameters: u64,
    pub best_epoch: Option<u32>,
}

/// Builds the network for training, with the loss under the input `targets` `[B, K]`.
pub fn network(
    config: &Config,
    train: &Train,
    labels: usize,
    word_rows: usize,
    kernels: Kernels,
) -> Result<(Network, crate::engine::Var), EngineError> {
    let options = NetworkOptions { kernels, training: true, word_rows, positions_in_graph: false };
    let mut network = Network::new(config, train.model.head, labels, options)?;
    let fact = TensorFact::f32(vec![Dim::Named("B"), Dim::Fixed(labels)]);
    let targets = network.graph.input("targets", fact);
    let loss = network.graph.cross_entropy(network.logits, targets)?;
    Ok((network, loss))
}

/// Trains. Unfinished work in the context's scratch folder is gone on with.
pub fn run(
    ctx: &dyn Ctx,
    runtime: &Runtime,
    job: &Job<'_>,
    mut weights: Weights,
) -> Result<Trained, StageError> {
    let labels = job.data.labels.len();
    // Dev is predicted between epochs with the same table, so its tokens are kept too; they have no gradient and decay like the rest.
    let compact = CompactVocabulary::new(
        job.train_tokens.iter().chain(job.dev_tokens).flat_map(|text| text.ids.iter().copied()),
    );
    let remap = |texts: &[TokenizedText]| -> Vec<TokenizedText> {
        let ids = |text: &TokenizedText| {
            text.ids.iter().map(|&id| compact.compact(id).unwrap_or_default()).collect()
        };
        texts.iter().map(|text| TokenizedText { ids: ids(text), truncated: text.truncated }).collect()
    };
    let (train_tokens, dev_tokens) = (remap(job.train_tokens), remap(job.dev_tokens));
    let (network, loss) = network(job.config, job.train, labels, compact.len(), Kernels::Fused)?;
    let frozen = match &job.train.freeze {
        None => Frozen::Nothing,
        Some(Freeze::Encoder) => Frozen::Encoder,
        Some(Freeze::AllButTopLayers(count)) => Frozen::AllButTopLayers(*count),
        Some(Freeze::Names(patterns)) => Frozen::Names(patterns.clone()),
    };
    let names: Vec<String> = network.graph.parameters().map(|(name, _)| name.to_owned()).collect();
    let trainable: Vec<String> =
        names.iter().filter(|name| frozen.trains(job.config, name)).cloned().collect();
    if trainable.is_empty() {
        return Err(Box::new(TrainError::AllFrozen));
    }
    if let Some(pattern) = frozen.unmatched(job.config, &names).into_iter().next() {
        let examples: Vec<String> =
            names.iter().step_by(names.len().div_ceil(4)).map(|name| format!("`{name}`")).collect();
        return Err(Box::new(TrainError::IdlePattern { pattern, examples: examples.join(", ") }));
    }
    let whole_table = std::mem::take(
        weights
            .get_mut(WORD_EMBEDDINGS)
            .ok_or_else(|| EngineError::MissingParameter(WORD_EMBEDDINGS.to_owned()))?,
    );
    weights.insert(WORD_EMBEDDINGS.to_owned(), compact.select(&whole_table));
    let parameters = Parameters::new(
        names.iter().filter_map(|name| weights.get(name).map(|array| (name.as_str(), array))),
    )?;
    let optimizer = optimizer(&job.train.optimizer, job.train.gradient_clip, &trainable);
    let word_group =
        trainable.iter().position(|name| name == WORD_EMBEDDINGS).map(|index| optimizer.groups[index]);
    let base_rate = base_rate(&job.train.optimizer);
    let trained_count = |name: &str| {
        if name == WORD_EMBEDDINGS { whole_table.len() } else { weights.get(name).map_or(0, ArrayD::len) }
    };
    let trainable_parameters = trainable.iter().map(|name| trained_count(name) as u64).sum();
    let idle = optimizer.clone();
    let mut dev = if dev_tokens.is_empty() {
        None
    } else {
        Some(Predictor::new(runtime, job.config, job.train.model.head, labels, compact.len(), &parameters)?)
    };
    let mut trainer = SessionTrainer::new(runtime, network.graph, loss, parameters, trainable, optimizer)?;

    let lengths: Vec<usize> = train_tokens.iter().map(|text| text.ids.len()).collect();
    let class_weights = targets::class_weights(&job.train.loss, job.data);
    let batches_per_epoch = train_tokens.len().div_ceil(job.train.batch_size) as u64;
    let steps_per_epoch = batches_per_epoch.div_ceil(u64::from(job.train.accumulation));
    let total_steps = steps_per_epoch * u64::from(job.train.epochs);

    let mut best_weights = Tensors::new();
    let mut wanted = BTreeMap::new();
    trainer.visit_state(|name, values| {
        wanted.insert(name.to_owned(), values.len());
    })?;
    // A checkpoint of another version of the program may hold other tensors; it is as good as none.
    let fits = |tensors: &Tensors| {
        wanted.iter().all(|(name, len)| tensors.get(name).is_some_and(|values| values.len() == *len))
    };
    let mut saved = match checkpoint::read(ctx.scratch()).filter(|(_, tensors)| fits(tensors)) {
        Some((saved, tensors)) => {
            let (best, state): (Tensors, Tensors) =
                tensors.into_iter().partition(|(name, _)| name.starts_with("best/"));
            best_weights = best;
            trainer.visit_state(|name, values| {
                if let Some(old) = state.get(name) {
                    values.copy_from_slice(old);
                }
            })?;
            trainer.set_steps(saved.steps);
            ctx.note(&format!("going on after epoch {} of {}", saved.epochs, job.train.epochs));
            saved
        }
        None => Saved {
            epochs: 0,
            steps: 0,
            seconds: 0.0,
            plateau: Plateau::new(base_rate),
            stopping: Watch::default(),
            best: Watch::default(),
            curves: Vec::new(),
            stopped: false,
        },
    };

    let watch = Stopwatch::start();
    let seconds_before = saved.seconds;
    let mut next_save = CHECKPOINT_SECONDS;
    while saved.epochs < job.train.epochs && !saved.stopped {
        let epoch = saved.epochs + 1;
        let mut random = stream(ctx.seed(), &["train", "batches"], u64::from(epoch));
        let batches = batch::by_length(&lengths, job.train.batch_size, &mut random);
        let (mut loss_sum, mut least_loss, mut examples) = (0.0, f64::INFINITY, 0usize);
        for parts in batches.chunks(job.train.accumulation as usize) {
            let step = saved.steps + 1;
            let factor = schedule::factor(&job.train.schedule, saved.steps, total_steps);
            let learning_rate = saved.plateau.learning_rate * factor;
            let mut step_examples = 0;
            for (part, indices) in parts.iter().enumerate() {
                if ctx.interrupted() {
                    return Err(Box::new(Interrupted));
                }
                let members: Vec<&TokenizedText> =
                    indices.iter().map(|&index| &train_tokens[index]).collect();
                let labels_of: Vec<usize> =
                    indices.iter().map(|&index| job.data.train[index].label).collect();
                let mut feeds = feeds(job.config, 0, &members);
                let smoothing = job.train.loss.label_smoothing;
                let values = targets::targets(&labels_of, &class_weights, smoothing, parts.len());
                feeds.push(("targets".to_owned(), Feed::F32(vec![indices.len(), labels], values)));
                let key = dropout_key(ctx.seed(), step, part as u64);
                let loss = trainer.accumulate(runtime, feeds, key)?;
                if !loss.is_finite() {
                    return Err(Box::new(NotFinite { loss, step, learning_rate }));
                }
                least_loss = least_loss.min(f64::from(loss) * parts.len() as f64);
                step_examples += indices.len();
            }
            let outcome = trainer.update(learning_rate)?;
            if !outcome.gradient_norm.is_finite() {
                return Err(Box::new(BadGradient { norm: outcome.gradient_norm, step, learning_rate }));
            }
            saved.steps = step;
            let loss = f64::from(outcome.loss);
            loss_sum += loss * step_examples as f64;
            examples += step_examples;
            saved.curves.push(CurvePoint {
                step,
                epoch,
                loss,
                learning_rate,
                gradient_norm: Some(f64::from(outcome.gradient_norm)),
                ..CurvePoint::default()
            });
            let detail =
                format!("epoch {epoch}/{} · loss {loss:.4} · lr {learning_rate:.1e}", job.train.epochs);
            ctx.progress(&Progress {
                activity: "training",
                done: step,
                total: Some(total_steps),
                unit: "steps",
                detail: &detail,
            });
        }
        let metrics = match &mut dev {
            Some(predictor) => Some(dev_metrics(&predictor.logits(ctx, &dev_tokens, "dev")?, job.data)),
            None => None,
        };
        if let (Some(point), Some(metrics)) = (saved.curves.last_mut(), metrics) {
            point.dev_loss = Some(metrics.loss);
            point.dev_accuracy = Some(metrics.accuracy);
            point.dev_macro_f1 = Some(metrics.macro_f1);
        }
        if let Schedule::ReduceOnPlateau(settings) = &job.train.schedule {
            let of_dev = |value: fn(&DevMetrics) -> f64| metrics.as_ref().map_or(f64::NAN, value);
            let value = match settings.monitor {
                Monitor::TrainLoss => loss_sum / examples.max(1) as f64,
                Monitor::MinTrainLoss => least_loss,
                Monitor::DevLoss => of_dev(|metrics| metrics.loss),
                Monitor::DevAccuracy => of_dev(|metrics| metrics.accuracy),
                Monitor::DevMacroF1 => of_dev(|metrics| metrics.macro_f1),
            };
            saved.plateau.step(settings, value);
        }
        if let Some(metrics) = metrics {
            if let Some(metric) = job.train.best_checkpoint
                && saved.best.improves(metric, 0.0, epoch, &metrics)
            {
                best_weights.clear();
                trainer.visit_state(|name, values| {
                    if let Some(parameter) = name.strip_prefix("parameter/") {
                        best_weights.insert(format!("best/{parameter}"), values.to_vec());
                    }
                })?;
            }
            if let Some(settings) = &job.train.early_stopping {
                saved.stopped = saved.stopping.stops(settings, epoch, &metrics);
            }
        }
        saved.epochs = epoch;
        saved.seconds = seconds_before + watch.seconds();
        let now = watch.seconds();
        if now >= next_save && saved.epochs < job.train.epochs {
            let mut tensors = best_weights.clone();
            trainer.visit_state(|name, values| {
                tensors.insert(name.to_owned(), values.to_vec());
            })?;
            checkpoint::write(ctx.scratch(), &saved, &tensors).map_err(NotSaved)?;
            let saved_at = watch.seconds();
            next_save = saved_at + CHECKPOINT_SECONDS.max((saved_at - now) * CHECKPOINT_SHARE);
        }
    }

    // The idle rows follow the epoch whose weights are kept.
    let kept_steps = match (best_weights.is_empty(), saved.best.best_epoch) {
        (false, Some(epoch)) => (steps_per_epoch * u64::from(epoch)) as usize,
        _ => saved.curves.len(),
    };
    trainer.visit_state(|name, values| {
        if let Some(best) = name
            .strip_prefix("parameter/")
            .and_then(|parameter| best_weights.get(&format!("best/{parameter}")))
        {
            values.copy_from_slice(best);
        }
    })?;
    let trained: BTreeMap<String, ArrayD<f32>> = trainer
        .trainable()
        .iter()
        .map(|name| Ok((name.clone(), trainer.parameters().copy(name)?)))
        .collect::<Result<_, EngineError>>()?;
    weights.extend(trained);
    let words = match word_group {
        Some(group) => {
            let rows = trainer.parameters().copy(WORD_EMBEDDINGS)?;
            let rates: Vec<f64> =
                saved.curves.iter().take(kept_steps).map(|point| point.learning_rate).collect();
            compact.merge(&whole_table, &rows, |row| idle.step_idle(group, &rates, row))
        }
        None => whole_table,
    };
    weights.insert(WORD_EMBEDDINGS.to_owned(), words);
    Ok(Trained {
        weights,
        curves: Curves(saved.curves),
        steps: saved.steps,
        seconds: seconds_before + watch.seconds(),
        trainable_parameters,
        best_epoch: job.train.best_checkpoint.and(saved.best.best_epoch),
    })
}

/// Returns the number that decides a batch's dropout masks.
fn dropout_key(seed: u64, step: u64, part: u64) -> i64 {
    use rand::Rng;
    stream(seed, &["train", "dropout", &part.to_string()], step).next_u64() as i64
}

fn base_rate(optimizer: &Optimizer) -> f64 {
    match optimizer {
        Optimizer::Adamw(settings) => settings.learning_rate,
        Optimizer::Sgd(settings) => settings.learning_rate,
    }
}

/// Returns the engine's optimizer for the trained parameters.
fn optimizer(optimizer: &Optimizer, gradient_clip: Option<f32>, trainable: &[String]) -> OptimizerConfig {
    let (algorithm, weight_decay, decay_all, head_rate) = match optimizer {
        Optimizer::Adamw(s) => {
            let algorithm = Algorithm::AdamW { beta1: s.betas[0], beta2: s.betas[1], epsilon: s.epsilon };
            (algorithm, s.weight_decay, s.decay_all, s.head_learning_rate)
        }
        Optimizer::Sgd(s) => {
            (Algorithm::Sgd { momentum: s.momentum }, s.weight_decay, s.decay_all, s.head_learning_rate)
        }
    };
    let head_factor = head_rate.map_or(1.0, |rate| rate / base_rate(optimizer)) as f32;
    let groups = trainable
        .iter()
        .map(|name| Group {
            weight_decay: if decay_all || !is_spared_from_decay(name) { weight_decay as f32 } else { 0.0 },
            rate_factor: if is_head(name) { head_factor } else { 1.0 },
        })
        .collect();
    OptimizerConfig { algorithm, gradient_clip, groups }
}

fn dev_metrics(logits: &Array2<f32>, data: &DataSet) -> DevMetrics {
    let probabilities = probabilities(logits);
    let rows: Vec<metrics::Row<'_>> = data
        .dev
        .iter()
        .zip(&probabilities)
        .map(|(example, row)| metrics::Row {
            label: example.label,
            prediction: metrics::argmax(row),
            probabilities: row,
        })
        .collect();
    let confusion = metrics::Confusion::of(data.labels.len(), &rows);
    DevMetrics {
        loss: metrics::nll::nll(&rows),
        accuracy: metrics::accuracy::accuracy(&confusion),
        macro_f1: metrics::f1::macro_f1(&confusion),
    }
}
