//! What steps gave, and the losses of an epoch.

use super::checkpoint::TrainingState;
use super::error::{BadGradient, NotFinite};
use crate::data::curves::CurvePoint;
use crate::engine::{StepOutcome, Trainer};
use crate::stages::contract::error::StageError;

/// So many halvings take any scale that steps begin with to nothing.
const MOST_SKIPPED: usize = 40;

/// A step that was taken, and of which nothing is known yet.
pub(super) struct OpenStep {
    pub step: u64,
    pub epoch: u32,
    pub learning_rate: f64,
    pub examples: usize,
    /// The number of micro-batches of each of its batches.
    pub micro_batches: Vec<usize>,
}

/// The losses of an epoch.
pub(super) struct EpochLosses {
    sum: f64,
    /// The least mean loss of a batch.
    pub least_of_batch: f64,
    examples: usize,
}

impl Default for EpochLosses {
    fn default() -> EpochLosses {
        EpochLosses { sum: 0.0, least_of_batch: f64::INFINITY, examples: 0 }
    }
}

impl EpochLosses {
    /// Returns the mean loss of the examples.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.examples.max(1) as f64
    }

    /// Takes what steps gave into the curves.
    pub(super) fn close(
        &mut self,
        open: &mut Vec<OpenStep>,
        trainer: &mut dyn Trainer,
        state: &mut TrainingState,
    ) -> Result<(), StageError> {
        for (step, outcome) in open.drain(..).zip(trainer.outcomes()?) {
            check(&step, &outcome, state)?;
            let mut losses = outcome.losses.iter().map(|&loss| f64::from(loss));
            for &micro_batches in &step.micro_batches {
                let loss: f64 = losses.by_ref().take(micro_batches).sum();
                self.least_of_batch =
                    self.least_of_batch.min(loss * step.micro_batches.len() as f64);
            }
            let loss = f64::from(outcome.loss());
            self.sum += loss * step.examples as f64;
            self.examples += step.examples;
            state.curves.push(CurvePoint {
                step: step.step,
                epoch: step.epoch,
                loss,
                learning_rate: step.learning_rate,
                gradient_norm: outcome.gradient_norm.filter(|norm| norm.is_finite()).map(f64::from),
                ..CurvePoint::default()
            });
        }
        Ok(())
    }
}

/// Counts a step that was left out, and refuses numbers that no step can go on from.
fn check(
    &OpenStep { step, learning_rate, .. }: &OpenStep,
    outcome: &StepOutcome,
    state: &mut TrainingState,
) -> Result<(), StageError> {
    if let Some(&loss) = outcome.losses.iter().find(|loss| !loss.is_finite()) {
        return Err(Box::new(NotFinite { loss, step, learning_rate }));
    }
    let norm = outcome.gradient_norm.unwrap_or(0.0);
    state.skipped.extend(outcome.skipped.then_some(step));
    let steps_back = (0..=step).rev();
    let in_a_row =
        state.skipped.iter().rev().zip(steps_back).take_while(|(skipped, step)| *skipped == step);
    let skipped_in_a_row = in_a_row.count();
    if !norm.is_finite() && (!outcome.skipped || skipped_in_a_row > MOST_SKIPPED) {
        return Err(Box::new(BadGradient { norm, step, learning_rate }));
    }
    Ok(())
}
