//! A training under way.

use super::averaging::Averaging;
use super::checkpoint::{Cadence, Tensors, TrainingState};
use super::job::Job;
use super::micro_batch::MicroBatches;
use crate::engine::{Runtime, Trainer};
use crate::stages::contract::stage::Ctx;

/// A training under way.
pub(super) struct Training<'a> {
    pub ctx: &'a dyn Ctx,
    pub runtime: &'a Runtime,
    pub job: &'a Job<'a>,
    pub trainer: &'a mut dyn Trainer,
    pub length: Length,
    pub state: TrainingState,
    /// The weights of the best epoch so far, where they are kept.
    pub best_weights: Tensors,
    pub averaging: Averaging<'a>,
    pub micro_batches: MicroBatches,
    /// When checkpoints are due, if any is written.
    pub cadence: Cadence,
    /// The dev score of the last epoch, as the progress shows it.
    pub dev_detail: String,
}

/// How long a training goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub steps_per_epoch: u64,
    pub steps: u64,
    pub epochs: u64,
    /// The epoch after which it pauses.
    pub stop_after: u32,
}

/// Returns the learning rate that the curves show: that of the first parameter group, which has the
/// lowest of the trained parameters.
pub(super) fn first(learning_rates: &[f64]) -> f64 {
    learning_rates.first().copied().unwrap_or_default()
}

impl Length {
    pub(super) fn of(job: &Job<'_>) -> Length {
        let texts = job.train_tokens.len();
        let batches_per_epoch =
            job.objective.batches_per_epoch(texts, job.settings.batch_size) as u64;
        let steps_per_epoch = batches_per_epoch.div_ceil(u64::from(job.settings.accumulation));
        let steps = job.settings.span.steps(steps_per_epoch);
        Length {
            steps_per_epoch,
            steps,
            epochs: steps.div_ceil(steps_per_epoch.max(1)),
            stop_after: job.settings.stop_after.unwrap_or(u32::MAX),
        }
    }
}

impl Training<'_> {
    /// Says whether an epoch is left to be trained.
    pub(super) fn goes_on(&self) -> bool {
        self.state.steps < self.length.steps
            && !self.state.stopped
            && self.state.epochs < self.length.stop_after
    }
}
