//! What trains: the one contract of both backends.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use super::binding::Feed;
use super::error::EngineError;
use crate::engine::runtime::runtime::Runtime;

/// Takes optimizer steps with the gradients of batches.
pub trait Trainer {
    /// Computes the gradients of one part of a step and adds them to the step's.
    fn accumulate(
        &mut self,
        runtime: &Runtime,
        feeds: Vec<(String, Feed)>,
        part: Part,
    ) -> Result<(), EngineError>;

    /// Forgets what was accumulated for a step that is not taken.
    fn abandon(&mut self) -> Result<(), EngineError>;

    /// Releases memory between steps from now on, after an allocation has failed.
    fn spare_memory(&mut self) {}

    /// Takes the optimizer step with the gradients that were accumulated, with the learning rate of
    /// each parameter group.
    fn update(&mut self, learning_rates: &[f64]) -> Result<(), EngineError>;

    /// Returns the number of parameter groups.
    fn groups(&self) -> usize {
        1
    }

    /// Returns what the steps since the last call gave, in their order, once the device has taken
    /// them.
    fn outcomes(&mut self) -> Result<Vec<StepOutcome>, EngineError>;

    /// Returns after how many steps [`Trainer::outcomes`] should be called at the latest.
    fn lag(&self) -> usize {
        1
    }

    /// Returns the logits `[B, K]` of a batch, without dropout.
    fn logits(
        &mut self,
        runtime: &Runtime,
        feeds: Vec<(String, Feed)>,
    ) -> Result<ArrayD<f32>, EngineError>;

    /// Returns the trained parameters as they are now, by name.
    fn trained(&self) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError>;

    /// Shows each trained parameter as it is now, by name, in an order that stays the same.
    fn visit_trained(&self, visit: &mut dyn FnMut(&str, &[f32])) -> Result<(), EngineError> {
        for (name, array) in self.trained()? {
            visit(&name, array.as_standard_layout().as_slice().unwrap_or_default());
        }
        Ok(())
    }

    /// Returns what a later attempt goes on from.
    fn state(&mut self) -> Result<State, EngineError>;

    /// Goes on from a state of the same training.
    fn restore(&mut self, runtime: &Runtime, state: &State, steps: u64) -> Result<(), EngineError>;
}

/// One of the parts that a step's gradients are gathered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Decides the dropout masks.
    pub dropout_key: i64,
    /// Whether the update follows.
    pub last: bool,
}

impl Part {
    /// Returns the one part of a step that is not parted.
    pub fn whole(dropout_key: i64) -> Part {
        Part { dropout_key, last: true }
    }
}

/// The trained parameters (`parameter/<name>`) and what the optimizer has gathered for them
/// (`state.<i>/<name>`).
pub type State = BTreeMap<String, Vec<f32>>;

/// What one optimizer step gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOutcome {
    /// The losses of the step's parts; the step's is their sum.
    pub losses: Vec<f32>,
    /// The global L2 norm of the gradients before clipping, where the backend tells.
    pub gradient_norm: Option<f32>,
    /// Whether nothing was updated: scaled gradients were too large for their type.
    pub skipped: bool,
}

impl StepOutcome {
    /// Returns the loss of the step's examples.
    pub fn loss(&self) -> f32 {
        self.losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() as f32
    }
}
