//! The training loop, the same for every backend.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use super::checkpoint::{self, Progress as Saved, Tensors};
use super::config::{Monitor, Schedule, Train};
use super::objective::{DevMetrics, MicroBatch, Objective};
use super::pieces::Pieces;
use super::plateau::Plateau;
use super::schedule;
use super::watch::Watch;
use crate::base::chain::chain;
use crate::base::clock::Stopwatch;
use crate::base::report::Progress;
use crate::base::seed::stream;
use crate::data::Curves;
use crate::data::curves::CurvePoint;
use crate::engine::backend::binding::Feed;
use crate::engine::{EngineError, Part, Runtime, Trainer};
use crate::model::input_layout::InputLayout;
use crate::stages::contract::error::{Interrupted, StageError};
use crate::stages::contract::stage::Ctx;
use crate::stages::inference::predict::{self, feeds};
use crate::text::TokenizedText;

/// Checkpoints are written at the ends of epochs, at most this often in seconds: a shorter time of
/// work is quicker done again than saved.
const CHECKPOINT_SECONDS: f64 = 2.0;
/// The work between two checkpoints takes at least this many times as long as writing one: large
/// models on slow disks train on.
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

/// The weights became infinite or not a number, and no loss or gradient told before the end.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "`{name}` holds numbers that are not finite after step {step} with learning rate \
     {learning_rate:e}"
)]
#[diagnostic(help("try a learning rate a tenth of it, or a schedule with `warmup: 0.1`"))]
pub struct BadWeights {
    pub name: String,
    pub step: u64,
    pub learning_rate: f64,
}

/// The state of training could not be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the checkpoint cannot be written")]
#[diagnostic(help("free some disk space; `pipe gc` removes cached results that no run uses"))]
pub struct NotSaved(#[source] pub std::io::Error);

/// What is trained on, and how.
pub struct Job<'a> {
    pub train: &'a Train,
    pub objective: &'a dyn Objective,
    pub train_tokens: &'a [TokenizedText],
    pub dev_tokens: &'a [TokenizedText],
    pub layout: InputLayout,
    /// The learning rate before the schedule.
    pub learning_rate: f64,
    /// Whether an interrupted training can go on: on the host with the very numbers of one that was
    /// not, on a GPU with other dropout masks. Else it starts anew.
    pub resumes: bool,
    /// Whether a batch may be computed in parts that are added up.
    pub splits: bool,
}

/// What came out.
pub struct Fitted {
    /// The trained parameters of the epoch that is kept, by name.
    pub trained: BTreeMap<String, ArrayD<f32>>,
    pub curves: Curves,
    pub steps: u64,
    /// The steps up to the epoch that is kept.
    pub kept_steps: usize,
    pub seconds: f64,
    pub best_epoch: Option<u32>,
    /// The most parts that a batch was computed in.
    pub parts: usize,
    /// The numbers of the steps that were left out because gradients overflowed.
    pub skipped: Vec<u64>,
}

/// Trains. Unfinished work in the context's scratch folder is gone on with.
pub fn run(
    ctx: &dyn Ctx,
    runtime: &Runtime,
    job: &Job<'_>,
    trainer: &mut dyn Trainer,
) -> Result<Fitted, StageError> {
    let lengths: Vec<usize> = job.train_tokens.iter().map(|text| text.ids.len()).collect();
    let batches_per_epoch = job.train_tokens.len().div_ceil(job.train.batch_size) as u64;
    let steps_per_epoch = batches_per_epoch.div_ceil(u64::from(job.train.accumulation));
    let total_steps = job.train.total_steps(steps_per_epoch);
    let stop_after = job.train.stop_after.unwrap_or(u32::MAX);
    let epochs = total_steps.div_ceil(steps_per_epoch.max(1));

    let mut best_weights = Tensors::new();
    let resumed = if job.resumes { resumable(ctx, trainer)? } else { None };
    // Work from beyond the stop is of no use here, and stays for the training that it belongs to.
    let is_beyond = resumed.as_ref().is_some_and(|(saved, _)| saved.epochs > stop_after);
    let resumed = resumed.filter(|_| !is_beyond);
    let mut saved = match resumed {
        Some((saved, tensors)) => {
            let (best, state): (Tensors, Tensors) =
                tensors.into_iter().partition(|(name, _)| name.starts_with("best/"));
            best_weights = best;
            trainer.restore(runtime, &state, saved.steps)?;
            if saved.limit != job.train.max_tokens_per_step {
                trainer.spare_memory();
            }
            ctx.note(&format!("going on after epoch {} of {}", saved.epochs, epochs));
            saved
        }
        None => Saved {
            epochs: 0,
            steps: 0,
            seconds: 0.0,
            plateau: Plateau::new(job.learning_rate),
            stopping: Watch::default(),
            best: Watch::default(),
            curves: Vec::new(),
            stopped: false,
            skipped: Vec::new(),
            limit: None,
            parts: 1,
        },
    };

    let watch = Stopwatch::start();
    let seconds_before = saved.seconds;
    let mut next_save = CHECKPOINT_SECONDS;
    let mut dev_detail = String::new();
    let mut pieces =
        Pieces { lengths: &lengths, limit: saved.limit.or(job.train.max_tokens_per_step) };
    while saved.steps < total_steps && !saved.stopped && saved.epochs < stop_after {
        let epoch = saved.epochs + 1;
        let mut random = stream(ctx.seed(), &["train", "batches"], u64::from(epoch));
        let batches = job.objective.batches(&lengths, job.train.batch_size, &mut random);
        let (mut tally, mut open) = (Tally::default(), Vec::new());
        let left = (total_steps - saved.steps) as usize;
        for parts in batches.chunks(job.train.accumulation as usize).take(left) {
            let step = saved.steps + 1;
            let factor = schedule::factor(&job.train.schedule, saved.steps, total_steps);
            let learning_rate = saved.plateau.learning_rate * factor;
            let step_examples = parts.iter().map(Vec::len).sum();
            let feeds_of = |batch: &[usize], members: &[usize]| {
                let texts: Vec<&TokenizedText> =
                    members.iter().map(|&index| &job.train_tokens[index]).collect();
                let mut feeds = feeds(job.layout, &texts);
                let micro_batch = MicroBatch { members, batch, batches: parts.len() };
                feeds.extend(job.objective.feeds(&micro_batch));
                feeds
            };
            let parted = loop {
                let parted: Vec<Vec<&[usize]>> =
                    parts.iter().map(|batch| pieces.of(batch)).collect();
                match accumulate(ctx, runtime, trainer, step, parts, &parted, &feeds_of) {
                    Ok(()) => break parted,
                    Err(Stopped::Memory { error, shape }) if job.splits && pieces.halve(shape) => {
                        let limit = pieces.limit.unwrap_or_default();
                        let told = chain(&error);
                        ctx.warn(&format!(
                            "memory ran out ({told}); batches are computed in parts of at most \
                             {limit} tokens from here on (`max_tokens_per_step: {limit}` would \
                             begin with that); the steps stay those of whole batches but for \
                             dropout's masks",
                        ));
                        trainer.abandon()?;
                        trainer.spare_memory();
                    }
                    Err(Stopped::Memory { error, .. }) => return Err(Box::new(error)),
                    Err(Stopped::Other(error)) => return Err(error),
                }
            };
            saved.parts = parted.iter().map(Vec::len).fold(saved.parts, usize::max);
            saved.limit = pieces.limit;
            trainer.update(learning_rate)?;
            saved.steps = step;
            let pieces_of = parted.iter().map(Vec::len).collect();
            open.push(Open { step, epoch, learning_rate, examples: step_examples, pieces_of });
            if open.len() >= trainer.lag() {
                tally.close(&mut open, trainer, &mut saved)?;
            }
            // A device may not have told of any step yet.
            let loss = saved
                .curves
                .last()
                .map_or_else(String::new, |point| format!("loss {:.4} · ", point.loss));
            let detail =
                format!("epoch {epoch}/{epochs} · {loss}lr {learning_rate:.1e}{dev_detail}");
            ctx.progress(&Progress {
                activity: "training",
                done: step,
                total: Some(total_steps),
                unit: "steps",
                detail: &detail,
            });
        }
        tally.close(&mut open, trainer, &mut saved)?;
        let metrics = if job.dev_tokens.is_empty() {
            None
        } else {
            let logits = predict::logits(
                ctx,
                job.layout,
                job.dev_tokens,
                job.objective.outputs(),
                "dev",
                &mut |feeds| trainer.logits(runtime, feeds),
            )?;
            Some(job.objective.measure(&logits))
        };
        if let (Some(point), Some(metrics)) = (saved.curves.last_mut(), metrics) {
            dev_detail = format!(" · dev macro_f1 {:.3}", metrics.macro_f1);
            point.dev_loss = Some(metrics.loss);
            point.dev_accuracy = Some(metrics.accuracy);
            point.dev_macro_f1 = Some(metrics.macro_f1);
        }
        if let Schedule::ReduceOnPlateau(settings) = &job.train.schedule {
            let of_dev = |value: fn(&DevMetrics) -> f64| metrics.as_ref().map_or(f64::NAN, value);
            let value = match settings.monitor {
                Monitor::TrainLoss => tally.loss_sum / tally.examples.max(1) as f64,
                Monitor::MinTrainLoss => tally.least_loss,
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
                let trained = trainer.trained()?.into_iter();
                best_weights = trained
                    .map(|(name, array)| (format!("best/{name}"), array.into_iter().collect()))
                    .collect();
            }
            if let Some(settings) = &job.train.early_stopping {
                saved.stopped = saved.stopping.stops(settings, epoch, &metrics);
            }
        }
        saved.epochs = epoch;
        saved.seconds = seconds_before + watch.seconds();
        let now = watch.seconds();
        let stops_here = saved.epochs == stop_after;
        if job.resumes
            && !is_beyond
            && (now >= next_save || stops_here)
            && saved.steps < total_steps
        {
            let mut tensors = best_weights.clone();
            tensors.extend(trainer.state()?);
            checkpoint::write(ctx.scratch(), &saved, &tensors).map_err(NotSaved)?;
            let saved_at = watch.seconds();
            next_save = saved_at + CHECKPOINT_SECONDS.max((saved_at - now) * CHECKPOINT_SHARE);
        }
    }

    let kept_steps = match (best_weights.is_empty(), saved.best.best_epoch) {
        (false, Some(epoch)) => (steps_per_epoch * u64::from(epoch)).min(total_steps) as usize,
        _ => saved.curves.len(),
    };
    if let (Some(last), true) = (saved.curves.last(), saved.skipped.len() == saved.curves.len()) {
        // Not one step was taken.
        let (step, learning_rate) = (last.step, last.learning_rate);
        return Err(Box::new(BadGradient { norm: f32::INFINITY, step, learning_rate }));
    }
    let mut trained = trainer.trained()?;
    for (name, array) in &mut trained {
        if let Some(best) = best_weights.get(&format!("best/{name}")) {
            array.iter_mut().zip(best).for_each(|(value, best)| *value = *best);
        }
        if array.iter().any(|value| !value.is_finite()) {
            let learning_rate =
                saved.curves.last().map_or(job.learning_rate, |point| point.learning_rate);
            return Err(Box::new(BadWeights {
                name: name.clone(),
                step: saved.steps,
                learning_rate,
            }));
        }
    }
    Ok(Fitted {
        trained,
        curves: Curves(saved.curves),
        steps: saved.steps,
        kept_steps,
        seconds: seconds_before + watch.seconds(),
        best_epoch: job.train.best_checkpoint.and(saved.best.best_epoch),
        parts: saved.parts,
        skipped: saved.skipped,
    })
}

/// Why a step's gradients could not be gathered.
enum Stopped {
    /// There was no memory for a part of so many texts and tokens each.
    Memory {
        error: EngineError,
        shape: [usize; 2],
    },
    Other(StageError),
}

/// Makes the inputs of a part of a batch, given the batch and the part.
type FeedsOf<'a> = dyn Fn(&[usize], &[usize]) -> Vec<(String, Feed)> + 'a;

/// Adds up the gradients of a step's batches, each in its parts.
fn accumulate(
    ctx: &dyn Ctx,
    runtime: &Runtime,
    trainer: &mut dyn Trainer,
    step: u64,
    batches: &[Vec<usize>],
    parted: &[Vec<&[usize]>],
    feeds_of: &FeedsOf<'_>,
) -> Result<(), Stopped> {
    let count: usize = parted.iter().map(Vec::len).sum();
    let members = batches
        .iter()
        .zip(parted)
        .flat_map(|(batch, parts)| parts.iter().map(move |part| (batch, *part)));
    for (number, (batch, members)) in members.enumerate() {
        if ctx.interrupted() {
            return Err(Stopped::Other(Box::new(Interrupted)));
        }
        let feeds = feeds_of(batch, members);
        let shape = feeds.first().map_or([0; 2], |(_, ids)| [ids.shape()[0], ids.shape()[1]]);
        let dropout_key = dropout_key(ctx.seed(), step, number as u64);
        let part = Part { dropout_key, last: number + 1 == count };
        trainer.accumulate(runtime, feeds, part).map_err(|error| {
            match error.is_out_of_memory() {
                true => Stopped::Memory { error, shape },
                false => Stopped::Other(Box::new(error)),
            }
        })?;
    }
    Ok(())
}

/// A step that was taken, and of which nothing is known yet.
struct Open {
    step: u64,
    epoch: u32,
    learning_rate: f64,
    examples: usize,
    /// The number of parts of each of its batches.
    pieces_of: Vec<usize>,
}

/// The losses of an epoch.
struct Tally {
    loss_sum: f64,
    /// The least mean loss of a batch.
    least_loss: f64,
    examples: usize,
}

/// So many halvings take any scale that steps begin with to nothing.
const MOST_SKIPPED: usize = 40;

impl Default for Tally {
    fn default() -> Tally {
        Tally { loss_sum: 0.0, least_loss: f64::INFINITY, examples: 0 }
    }
}

impl Tally {
    /// Takes what steps gave into the curves.
    fn close(
        &mut self,
        open: &mut Vec<Open>,
        trainer: &mut dyn Trainer,
        saved: &mut Saved,
    ) -> Result<(), StageError> {
        for (Open { step, epoch, learning_rate, examples, pieces_of }, outcome) in
            open.drain(..).zip(trainer.outcomes()?)
        {
            if let Some(&loss) = outcome.losses.iter().find(|loss| !loss.is_finite()) {
                return Err(Box::new(NotFinite { loss, step, learning_rate }));
            }
            let norm = outcome.gradient_norm.unwrap_or(0.0);
            saved.skipped.extend(outcome.skipped.then_some(step));
            let steps_back = (0..=step).rev();
            let in_a_row = saved
                .skipped
                .iter()
                .rev()
                .zip(steps_back)
                .take_while(|(skipped, step)| *skipped == step);
            let skipped_in_a_row = in_a_row.count();
            if !norm.is_finite() && (!outcome.skipped || skipped_in_a_row > MOST_SKIPPED) {
                return Err(Box::new(BadGradient { norm, step, learning_rate }));
            }
            let mut losses = outcome.losses.iter().map(|&loss| f64::from(loss));
            for &pieces in &pieces_of {
                let loss: f64 = losses.by_ref().take(pieces).sum();
                self.least_loss = self.least_loss.min(loss * pieces_of.len() as f64);
            }
            let loss = f64::from(outcome.loss());
            self.loss_sum += loss * examples as f64;
            self.examples += examples;
            saved.curves.push(CurvePoint {
                step,
                epoch,
                loss,
                learning_rate,
                gradient_norm: outcome.gradient_norm.filter(|norm| norm.is_finite()).map(f64::from),
                ..CurvePoint::default()
            });
        }
        Ok(())
    }
}

/// Returns the checkpoint that an earlier attempt left. One of another version of the program may
/// hold other tensors; it is as good as none.
fn resumable(
    ctx: &dyn Ctx,
    trainer: &mut dyn Trainer,
) -> Result<Option<(Saved, Tensors)>, EngineError> {
    let Some((saved, tensors)) = checkpoint::read(ctx.scratch()) else { return Ok(None) };
    let fits = trainer
        .state()?
        .iter()
        .all(|(name, values)| tensors.get(name).is_some_and(|found| found.len() == values.len()));
    Ok(fits.then_some((saved, tensors)))
}

/// Returns the number that decides a batch's dropout masks.
fn dropout_key(seed: u64, step: u64, part: u64) -> i64 {
    use rand::Rng;
    stream(seed, &["train", "dropout", &part.to_string()], step).next_u64() as i64
}
