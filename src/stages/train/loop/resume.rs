//! Going on from the checkpoint of an earlier attempt.

use super::averaging::{AVERAGE, Averaging};
use super::checkpoint::{self, BEST, Cadence, Tensors, TrainingState};
use super::job::Job;
use super::micro_batch::MicroBatches;
use super::training::{Length, Training};
use crate::engine::{EngineError, Runtime, Trainer};
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;
use crate::text::TokenizedText;

impl<'a> Training<'a> {
    /// Begins a training, or goes on with the unfinished work in the context's scratch folder.
    pub(super) fn begin(
        ctx: &'a dyn Ctx,
        runtime: &'a Runtime,
        job: &'a Job<'a>,
        trainer: &'a mut dyn Trainer,
    ) -> Result<Training<'a>, StageError> {
        let length = Length::of(job);
        let average = job.settings.average.as_ref();
        let resumed = if job.resumes { resumable(ctx, trainer)? } else { None };
        // Work from beyond the stop is of no use here, and stays for the training that it belongs
        // to.
        let is_beyond = resumed.as_ref().is_some_and(|(state, _)| state.epochs > length.stop_after);
        let mut best_weights = Tensors::new();
        let (state, averaging) = match resumed.filter(|_| !is_beyond) {
            Some((state, tensors)) => {
                let (best, others): (Tensors, Tensors) =
                    tensors.into_iter().partition(|(name, _)| name.starts_with(BEST));
                let (averages, trained): (Tensors, Tensors) =
                    others.into_iter().partition(|(name, _)| name.starts_with(AVERAGE));
                best_weights = best;
                trainer.restore(runtime, &trained, state.steps)?;
                if state.micro_batch_tokens != job.settings.max_tokens_per_step {
                    trainer.spare_memory();
                }
                ctx.note(&format!("resuming after epoch {} of {}", state.epochs, length.epochs));
                (state, Averaging::resume(average, length.steps, averages))
            }
            None => (
                TrainingState::new(job.learning_rates.clone()),
                Averaging::begin(average, length.steps, trainer)?,
            ),
        };
        let passes = job.objective.passes();
        let tokens = |text: &TokenizedText| passes * text.windows() * text.ids.len();
        let micro_batches = MicroBatches {
            lengths: job.train_tokens.iter().map(tokens).collect(),
            limit: state.micro_batch_tokens.or(job.settings.max_tokens_per_step),
        };
        let cadence = Cadence::start(job.resumes && !is_beyond, state.seconds, job.state_bytes);
        let dev_detail = String::new();
        Ok(Training {
            ctx,
            runtime,
            job,
            trainer,
            length,
            state,
            best_weights,
            averaging,
            micro_batches,
            cadence,
            dev_detail,
        })
    }
}

/// Returns the checkpoint that an earlier attempt left. One of another version of the program may
/// hold other tensors; it is as good as none.
fn resumable(
    ctx: &dyn Ctx,
    trainer: &mut dyn Trainer,
) -> Result<Option<(TrainingState, Tensors)>, EngineError> {
    let Some((state, tensors)) = checkpoint::read(ctx.scratch()) else { return Ok(None) };
    let fits = trainer
        .state()?
        .iter()
        .all(|(name, values)| tensors.get(name).is_some_and(|found| found.len() == values.len()));
    Ok(fits.then_some((state, tensors)))
}
