//! The contract of a method: what it is given, and what it gives.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::Path;

use ndarray::Array2;
use serde_json::Value;

use crate::base::digest::Digest;
use crate::data::{Curves, DataSet, Seen};
use crate::model::sentences::Preparation;
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Network, TrainedModel, TrainingSummary};
use crate::stages::contract::stage::{Ctx, DataFact, Port};
use crate::stages::inference::vectors::Known;
use crate::stages::train::problems::Problems;
use crate::stages::train::settings::{Defaults, Settings};

/// A setting of `train` that a method has no use for, and the reason.
pub type Refusal = (&'static str, &'static str);

/// A way to learn from texts.
pub trait Learner {
    /// Returns the method's name in a pipeline file.
    fn name(&self) -> &'static str;

    /// Returns the method's own settings, which are part of what its models depend on.
    fn config(&self) -> Value;

    /// Lists the stages that the method reads beside the data set, such as a teacher's.
    fn inputs(&self) -> Vec<Port<'_>> {
        Vec::new()
    }

    /// Returns what the training takes where the file says nothing.
    fn defaults(&self) -> Defaults {
        Defaults::default()
    }

    /// Returns the least batch that the method can learn from.
    fn least_batch(&self) -> usize {
        1
    }

    /// Lists the settings of `train` that the method has no use for, each with the reason.
    fn refuses(&self) -> Vec<Refusal> {
        Vec::new()
    }

    /// Says whether the method compares passes of a text under dropout.
    fn compares_passes(&self) -> bool {
        false
    }

    /// Says whether the method learns from the texts without labels.
    fn reads_unlabelled(&self) -> bool {
        false
    }

    /// Reports settings of the method that no training can be done with; `at` is where they stand.
    fn check(&self, at: &str, data: &DataFact, problems: &mut Problems) {
        let _ = (at, data, problems);
    }

    /// Returns the logits `[N, K]` of every train text by a model that has learnt from the other
    /// folds alone, where the method has a shorter way to them than a training for each fold.
    ///
    /// # Errors
    ///
    /// Fails as [`Learner::learn`] does.
    fn held_out(
        &self,
        work: &Work<'_>,
        folds: &[usize],
    ) -> Result<Option<Array2<f32>>, StageError> {
        let _ = (work, folds);
        Ok(None)
    }

    /// Does the work.
    ///
    /// # Errors
    ///
    /// Fails where the data or the encoder do not serve the method, and where the engine does.
    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError>;
}

/// What a method works on.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    pub ctx: &'a dyn Ctx,
    pub settings: &'a Settings,
    /// The folder of the pretrained encoder.
    pub folder: &'a Path,
    /// The identity of the encoder.
    pub identity: Digest,
    /// The texts that the encoder has learnt from with their labels, which folds may not have.
    pub learnt: &'a Seen,
    pub data: &'a DataSet,
    /// The model that the method's input gives, where it has one.
    pub teacher: Option<&'a TrainedModel>,
    /// How much each train text counts; `None` if all count 1.
    pub weights: Option<&'a [f64]>,
    /// Vectors of texts by the encoder as it is, where a method has computed them before.
    pub known: Option<&'a Known>,
}

/// What a method gives.
pub struct Trained {
    pub network: Network,
    /// What was done to the texts, and where they were cut.
    pub preparation: Preparation,
    pub longest: usize,
    pub curves: Curves,
    /// What the training took. The stage adds the method, the device and the memory.
    pub summary: TrainingSummary,
    /// The identity of the encoder under the head, where it is as it was before.
    pub frozen: Option<Digest>,
    /// The files of the adapter that is merged into the network, by name; mostly none.
    pub adapter: BTreeMap<String, Vec<u8>>,
}

/// What trainings took, whenever they were done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// The texts that the encoder has read in training, each as often as it did.
    pub encodings: u64,
    pub seconds: f64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.encodings += other.encodings;
        self.seconds += other.seconds;
    }
}

impl Trained {
    /// Adds what came before the last training: what it chose, and what that took.
    pub(super) fn after(mut self, chosen: String, cost: Cost) -> Trained {
        let summary = &mut self.summary;
        summary.chosen = match summary.chosen.is_empty() {
            true => chosen,
            false => format!("{chosen}; {}", summary.chosen),
        };
        summary.encodings = summary.encodings.map(|own| own + cost.encodings);
        summary.seconds += cost.seconds;
        self
    }
}
