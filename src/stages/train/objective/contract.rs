//! The contract of an objective.

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::Array2;
use rand::Rng;

use super::dev_metric::DevMetrics;
use crate::engine::backend::binding::Feed;
use crate::engine::{ShapeError, Var};
use crate::model::{Adapts, Config, HeadForm, Network, NetworkOptions};
use crate::stages::contract::stage::Port;
use crate::text::{TokenizedText, batch};

/// What a training is fed, what it minimises and what is measured on dev.
///
/// The training loop keeps time, steps, micro-batches and checkpoints; it knows nothing of labels.
pub trait Objective {
    /// The part of the configuration that the objective is made from.
    type Settings
    where
        Self: Sized;

    /// Lists the inputs that the stage `train` has beside the data set, such as a teacher.
    fn inputs(_: &Self::Settings) -> Vec<Port<'_>>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Returns K, the width of the network's output.
    fn outputs(&self) -> usize;

    /// Says whether the loss compares the vectors of a batch's texts with each other. Then there is
    /// no head, a batch is not computed in parts, and which texts meet is left to chance alone.
    fn compares_texts(&self) -> bool {
        false
    }

    /// Builds the network whose output the loss reads: by default an encoder with a head of K
    /// outputs, or with the vectors under a head where texts are compared. The adapter, if there is
    /// one, is in its linear layers.
    ///
    /// # Errors
    ///
    /// Fails where the configuration makes no network.
    fn network(
        &self,
        config: &Config,
        form: &HeadForm,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        if !self.compares_texts() {
            return Network::adapted(config, form, self.outputs(), options, adapter);
        }
        match form.embedder() {
            Some(embedder) => Network::of_vectors(config, embedder, options, adapter),
            None => Err(ShapeError("a head has no vectors".to_owned())),
        }
    }

    /// Returns how often each text of a batch is read in a step, one pass after the other: the
    /// network's rows are all texts of the micro-batch, then all of them again.
    fn passes(&self) -> usize {
        1
    }

    /// Says whether the network may leave out the rows of padding. Not where it puts rows of one
    /// text together with those of another.
    fn packs(&self) -> bool {
        true
    }

    /// Says whether all words of the vocabulary are in the word table while it is trained, since
    /// the loss reads the table too; else those that occur are.
    fn reads_vocabulary(&self) -> bool {
        false
    }

    /// Returns a text as the network reads it in a micro-batch; by default as it is.
    fn read<'a>(
        &self,
        micro_batch: &MicroBatch<'_>,
        text: usize,
        tokens: &'a TokenizedText,
    ) -> Cow<'a, TokenizedText> {
        let _ = (micro_batch, text);
        Cow::Borrowed(tokens)
    }

    /// Says whether a batch may be computed in micro-batches, whose losses add up to its own.
    fn splits(&self) -> bool {
        !self.compares_texts()
    }

    /// Returns the number of batches into which [`Objective::batches`] cuts so many texts.
    fn batches_per_epoch(&self, texts: usize, batch_size: usize) -> usize {
        texts.div_ceil(batch_size)
    }

    /// Cuts the train texts, given their lengths in tokens, into the batches of an epoch: by
    /// default texts of like lengths together, unless they are compared.
    fn batches(
        &self,
        lengths: &[usize],
        batch_size: usize,
        mut random: &mut dyn Rng,
    ) -> Vec<Vec<usize>> {
        match self.compares_texts() {
            true => batch::at_random(lengths.len(), batch_size, &mut random),
            false => batch::by_length(lengths, batch_size, &mut random),
        }
    }

    /// Adds its inputs and its scalar loss to a network's graph, and returns the loss.
    ///
    /// # Errors
    ///
    /// Fails where the loss does not go with the network's outputs.
    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError>;

    /// Returns the inputs that [`Objective::graph`] has added, for one micro-batch. The losses of a
    /// step's micro-batches add up to the loss of the step.
    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)>;

    /// Returns the dev metrics, given the output `[N, K]` for the dev texts in their order. By
    /// default there are none: what has no head predicts nothing.
    fn measure(&self, output: &Array2<f32>) -> DevMetrics {
        let _ = output;
        DevMetrics::default()
    }
}

/// The texts whose gradients are computed at a time, by their places in the train split.
#[derive(Clone, Copy, Debug)]
pub struct MicroBatch<'a> {
    pub members: &'a [usize],
    /// The batch that the members are a part of.
    pub batch: &'a [usize],
    /// The number of batches whose mean is the loss of the step.
    pub batches: usize,
    /// Decides what is drawn for the micro-batch.
    pub key: u64,
    /// Decides what is drawn for the whole batch, whatever micro-batches it is cut into.
    pub batch_key: u64,
}
