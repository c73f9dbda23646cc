//! The averages of the weights while they are trained.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use super::checkpoint::Tensors;
use crate::engine::{EngineError, Trainer};
use crate::stages::train::average::{Average, follow};

/// What the names of averages begin with in a checkpoint.
pub const AVERAGE: &str = "average/";

/// The averages of the trained parameters, where they are kept.
pub(super) struct Averaging<'a> {
    average: Option<&'a Average>,
    /// The steps of the whole training.
    steps: u64,
    /// By the parameter's name; empty before the first step that counts.
    tensors: Tensors,
}

impl<'a> Averaging<'a> {
    /// Begins with the weights before the first step, or with none.
    pub(super) fn begin(
        average: Option<&'a Average>,
        steps: u64,
        trainer: &dyn Trainer,
    ) -> Result<Averaging<'a>, EngineError> {
        let mut averaging = Averaging { average, steps, tensors: Tensors::new() };
        if average.is_some_and(Average::begins_at_once) {
            averaging.take(trainer, 1.0)?;
        }
        Ok(averaging)
    }

    /// Goes on with the averages of a checkpoint.
    pub(super) fn resume(
        average: Option<&'a Average>,
        steps: u64,
        saved: Tensors,
    ) -> Averaging<'a> {
        let name = |name: String| name.strip_prefix(AVERAGE).map(str::to_owned).unwrap_or(name);
        let tensors = saved.into_iter().map(|(key, values)| (name(key), values)).collect();
        Averaging { average, steps, tensors }
    }

    /// Counts the weights after a step.
    pub(super) fn step(&mut self, step: u64, trainer: &dyn Trainer) -> Result<(), EngineError> {
        match self.share(step) {
            Some(share) => self.take(trainer, share),
            None => Ok(()),
        }
    }

    /// Returns what each of the first steps counts; nothing where none does.
    pub(super) fn shares(&self, taken: u64) -> Vec<Option<f32>> {
        if self.tensors.is_empty() {
            return Vec::new();
        }
        (1..=taken).map(|step| self.share(step)).collect()
    }

    /// Puts the averages in the place of the weights, where there are any.
    pub(super) fn replace(&self, trained: &mut BTreeMap<String, ArrayD<f32>>) {
        for (name, array) in trained {
            if let Some(averages) = self.tensors.get(name) {
                array.iter_mut().zip(averages).for_each(|(value, average)| *value = *average);
            }
        }
    }

    /// Returns the averages as a checkpoint holds them.
    pub(super) fn saved(&self) -> impl Iterator<Item = (String, Vec<f32>)> {
        self.tensors.iter().map(|(name, values)| (format!("{AVERAGE}{name}"), values.clone()))
    }

    fn share(&self, step: u64) -> Option<f32> {
        self.average.and_then(|average| average.share(step, self.steps))
    }

    fn take(&mut self, trainer: &dyn Trainer, share: f32) -> Result<(), EngineError> {
        trainer.visit_trained(&mut |name, values| match self.tensors.get_mut(name) {
            Some(averages) => follow(averages, values, share),
            None => {
                self.tensors.insert(name.to_owned(), values.to_vec());
            }
        })
    }
}
