//! One optimizer step: gradients of its batches, in micro-batches that memory holds, and the
//! update.

use std::borrow::Cow;

use super::losses::OpenStep;
use super::training::{Training, first};
use crate::base::chain::chain;
use crate::base::seed::stream;
use crate::engine::backend::binding::Feed;
use crate::engine::{EngineError, Part};
use crate::model::network::{WINDOW_MASK, WINDOW_ROWS};
use crate::stages::contract::error::{Interrupted, StageError};
use crate::stages::inference::predict;
use crate::stages::train::objective::MicroBatch;
use crate::stages::train::schedule;
use crate::text::TokenizedText;
use crate::text::windows::WindowRows;

/// Why a step's gradients could not be gathered.
enum Stopped {
    /// There was no memory for a micro-batch of so many texts and tokens each.
    Memory {
        error: EngineError,
        shape: [usize; 2],
    },
    Other(StageError),
}

impl Training<'_> {
    /// Takes a step with the mean loss of these batches.
    pub(super) fn step(
        &mut self,
        epoch: u32,
        batches: &[Vec<usize>],
    ) -> Result<OpenStep, StageError> {
        let (step, taken) = (self.state.steps + 1, self.state.steps);
        let factor = schedule::factor(&self.job.settings.schedule, taken, self.length.steps);
        let learning_rates: Vec<f64> =
            self.state.plateau.learning_rates.iter().map(|rate| rate * factor).collect();
        let micro_batches = self.accumulate(step, batches)?;
        self.state.micro_batches =
            micro_batches.iter().copied().fold(self.state.micro_batches, usize::max);
        self.state.micro_batch_tokens = self.micro_batches.limit;
        self.trainer.update(&learning_rates)?;
        self.averaging.step(step, self.trainer)?;
        self.state.steps = step;
        let learning_rate = first(&learning_rates);
        let examples: usize = batches.iter().map(Vec::len).sum();
        self.state.encodings += (examples * self.job.objective.passes()) as u64;
        Ok(OpenStep { step, epoch, learning_rate, examples, micro_batches })
    }

    /// Adds up the gradients of a step's batches, and returns the number of micro-batches of each.
    /// Where memory runs out it starts over with smaller ones.
    fn accumulate(&mut self, step: u64, batches: &[Vec<usize>]) -> Result<Vec<usize>, StageError> {
        loop {
            let cut: Vec<Vec<&[usize]>> =
                batches.iter().map(|batch| self.micro_batches.of(batch)).collect();
            match self.accumulate_cut(step, batches, &cut) {
                Ok(()) => return Ok(cut.iter().map(Vec::len).collect()),
                Err(Stopped::Memory { error, shape })
                    if self.job.splits && self.micro_batches.halve(shape) =>
                {
                    self.shrink(&error)?;
                }
                Err(Stopped::Memory { error, .. }) => return Err(Box::new(error)),
                Err(Stopped::Other(error)) => return Err(error),
            }
        }
    }

    /// Gets ready to take the step again in micro-batches of the new limit.
    fn shrink(&mut self, error: &EngineError) -> Result<(), EngineError> {
        let limit = self.micro_batches.limit.unwrap_or_default();
        let told = chain(error);
        self.ctx.warn(&format!(
            "memory ran out ({told}); from now on batches are computed in parts of at most {limit} \
             tokens (`max_tokens_per_step: {limit}` does so from the start); the steps stay the \
             same except for the dropout masks",
        ));
        self.trainer.abandon()?;
        self.trainer.spare_memory();
        Ok(())
    }

    fn accumulate_cut(
        &mut self,
        step: u64,
        batches: &[Vec<usize>],
        cut: &[Vec<&[usize]>],
    ) -> Result<(), Stopped> {
        let count: usize = cut.iter().map(Vec::len).sum();
        let micro_batches = batches
            .iter()
            .zip(cut)
            .enumerate()
            .flat_map(|(place, (batch, cut))| cut.iter().map(move |part| (place, batch, part)));
        for (number, (place, batch, members)) in micro_batches.enumerate() {
            let key = key_of(self.ctx.seed(), "draws", step, number as u64);
            let batch_key = key_of(self.ctx.seed(), "draws of a batch", step, place as u64);
            let micro_batch = MicroBatch { members, batch, batches: batches.len(), key, batch_key };
            if self.ctx.interrupted() {
                return Err(Stopped::Other(Box::new(Interrupted)));
            }
            let feeds = self.feeds(&micro_batch);
            // A text's windows stay together.
            let texts = micro_batch.members.len();
            let tokens = feeds.first().map_or(0, |(_, ids)| ids.shape()[0] * ids.shape()[1]);
            let shape = [texts, tokens / texts.max(1)];
            let dropout_key = key_of(self.ctx.seed(), "dropout", step, number as u64) as i64;
            let part = Part { dropout_key, last: number + 1 == count };
            self.trainer.accumulate(self.runtime, feeds, part).map_err(|error| {
                match error.is_out_of_memory() {
                    true => Stopped::Memory { error, shape },
                    false => Stopped::Other(Box::new(error)),
                }
            })?;
        }
        Ok(())
    }

    /// Returns the network's inputs for a micro-batch, then the objective's.
    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        let objective = self.job.objective;
        let read = |&text: &usize| objective.read(micro_batch, text, &self.job.train_tokens[text]);
        let read: Vec<Cow<'_, TokenizedText>> = micro_batch.members.iter().map(read).collect();
        let texts: Vec<&TokenizedText> = read.iter().map(AsRef::as_ref).collect();
        let texts = texts.repeat(objective.passes());
        let mut feeds = predict::feeds(self.job.layout, &texts);
        if self.job.combine.is_some() {
            let WindowRows { shape: [count, most], rows, mask } = WindowRows::of(&texts);
            feeds.push((WINDOW_ROWS.to_owned(), Feed::I64(vec![count * most], rows)));
            feeds.push((WINDOW_MASK.to_owned(), Feed::I64(vec![count, most], mask)));
        }
        feeds.extend(objective.feeds(micro_batch));
        feeds
    }
}

/// Returns the number that decides something that is drawn for a micro-batch, such as its dropout
/// masks.
fn key_of(seed: u64, what: &str, step: u64, micro_batch: u64) -> u64 {
    use rand::Rng;
    stream(seed, &["train", what, &micro_batch.to_string()], step).next_u64()
}
