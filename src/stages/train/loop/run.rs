//! From the first step to the weights that are kept.

use super::checkpoint::best_name;
use super::error::{BadGradient, BadWeights};
use super::job::{Fitted, Job};
use super::training::{Training, first};
use crate::data::Curves;
use crate::engine::{Runtime, Trainer};
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;

/// Trains. Unfinished work in the context's scratch folder is gone on with.
pub fn run(
    ctx: &dyn Ctx,
    runtime: &Runtime,
    job: &Job<'_>,
    trainer: &mut dyn Trainer,
) -> Result<Fitted, StageError> {
    let mut training = Training::begin(ctx, runtime, job, trainer)?;
    while training.goes_on() {
        training.epoch()?;
    }
    finish(training)
}

/// Returns the weights that are kept, and what the training took.
fn finish(training: Training<'_>) -> Result<Fitted, StageError> {
    let Training { job, trainer, length, state, best_weights, averaging, cadence, .. } = training;
    let kept_steps = match (best_weights.is_empty(), state.best.epoch) {
        (false, Some(epoch)) => {
            (length.steps_per_epoch * u64::from(epoch)).min(length.steps) as usize
        }
        _ => state.curves.len(),
    };
    let last_rate =
        state.curves.last().map_or(first(&job.learning_rates), |point| point.learning_rate);
    if let (Some(last), true) = (state.curves.last(), state.skipped.len() == state.curves.len()) {
        // Not one step was taken.
        let (step, learning_rate) = (last.step, last_rate);
        return Err(Box::new(BadGradient { norm: f32::INFINITY, step, learning_rate }));
    }
    let mut trained = trainer.trained()?;
    averaging.replace(&mut trained);
    for (name, array) in &mut trained {
        if let Some(best) = best_weights.get(&best_name(name)) {
            array.iter_mut().zip(best).for_each(|(value, best)| *value = *best);
        }
        if array.iter().any(|value| !value.is_finite()) {
            let (name, step, learning_rate) = (name.clone(), state.steps, last_rate);
            return Err(Box::new(BadWeights { name, step, learning_rate }));
        }
    }
    Ok(Fitted {
        trained,
        curves: Curves(state.curves),
        steps: state.steps,
        kept_steps,
        shares: averaging.shares(state.steps),
        seconds: cadence.seconds(),
        best_epoch: job.settings.best_checkpoint.and(state.best.epoch),
        encodings: state.encodings,
        micro_batches: state.micro_batches,
        skipped: state.skipped,
    })
}
