//! Encoders with random weights that are trained on random texts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ndarray::ArrayD;

use crate::base::seed::stream;
use crate::engine::backend::binding::{Feed, Parameters};
use crate::engine::graph::build::TARGETS;
use crate::engine::{
    AdamW, ApiTrainer, Artifacts, Clipping, Device, EngineError, Graph, Kernels, OptimizerConfig,
    ParameterGroup, Part, Place, Precision, Recipe, Runtime, SessionTrainer, StepOutcome, Trainer,
};
use crate::model::encoders::bert::BERT;
use crate::model::{
    Activation, Config, Dropout, Head, Network, NetworkOptions, Pooling, TrainableNetwork, init,
};

const LABELS: usize = 2;
const SEED: u64 = 7;
const LEARNING_RATE: f64 = 1e-3;

/// The size of an encoder and of its batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub name: &'static str,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub vocabulary: usize,
    pub batch: usize,
    pub length: usize,
}

impl Size {
    /// Returns the configuration of an encoder of this size.
    pub(super) fn config(self, dropout: f32) -> Config {
        Config {
            encoder: &BERT,
            vocabulary: self.vocabulary,
            hidden: self.hidden,
            embedding: self.hidden,
            layers: self.layers,
            heads: self.heads,
            intermediate: 4 * self.hidden,
            activation: Activation::Gelu,
            positions: 512,
            token_types: 2,
            layer_norm_epsilon: 1e-12,
            hidden_dropout: dropout,
            attention_dropout: dropout,
            classifier_dropout: dropout,
            padding_id: 0,
            initializer_range: 0.02,
            head_reads: Pooling::Cls,
            own: serde_json::Value::Null,
        }
    }

    /// Returns a batch of random texts, every second one shorter, with labels that depend on the
    /// first token.
    pub(super) fn batch(self, number: u64) -> Vec<(String, Feed)> {
        use rand::RngExt as _;
        let mut random = stream(SEED, &["selftest", "batch"], number);
        let tokens = vec![self.batch, self.length];
        let ids: Vec<i64> = (0..self.batch * self.length)
            .map(|_| random.random_range(1..self.vocabulary as i64))
            .collect();
        let is_shown = |index: usize| {
            let (text, place) = (index / self.length, index % self.length);
            text.is_multiple_of(2) || place < self.length.div_ceil(2)
        };
        let mask = (0..ids.len()).map(|index| i64::from(is_shown(index))).collect();
        let positions = (0..ids.len()).map(|index| (index % self.length) as i64).collect();
        let share = 1.0 / self.batch as f32;
        let first = |text: usize| ids[text * self.length] % 2 == 0;
        let targets = (0..self.batch)
            .flat_map(|text| if first(text) { [share, 0.0] } else { [0.0, share] })
            .collect();
        vec![
            ("input_ids".to_owned(), Feed::I64(tokens.clone(), ids)),
            ("attention_mask".to_owned(), Feed::I64(tokens.clone(), mask)),
            ("position_ids".to_owned(), Feed::I64(tokens, positions)),
            (TARGETS.to_owned(), Feed::F32(vec![self.batch, LABELS], targets)),
        ]
    }
}

/// An encoder, its batches and the settings of its training.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    pub size: Size,
    pub place: Place,
    pub precision: Precision,
    pub kernels: Kernels,
    /// The dropout rate.
    pub dropout: f32,
}

impl Subject {
    /// Creates a subject with the kernels for its place and precision.
    pub(super) fn of(size: Size, place: Place, precision: Precision, dropout: f32) -> Subject {
        let kernels = match precision {
            Precision::Fp32 => place.kernels(),
            _ => Kernels::Standard,
        };
        Subject { size, place, precision, kernels, dropout }
    }

    /// Prepares its training with sessions; `profiles` is a folder for their profiles.
    pub(super) fn sessions(
        self,
        runtime: &Runtime,
        profiles: Option<&Path>,
    ) -> Result<SessionTrainer, EngineError> {
        let TrainableNetwork { network, loss } = self.network(self.masks())?;
        let weights = self.weights(&network);
        let named = weights.iter().map(|(name, array)| (name.as_str(), array));
        let parameters = Parameters::new(self.place, named)?;
        let trainable: Vec<String> = weights.keys().cloned().collect();
        let optimizer = optimizer(&network.graph, &trainable, false);
        let recipe = Recipe { loss, trainable, optimizer, precision: self.precision };
        SessionTrainer::profiled(runtime, network.graph, parameters, recipe, profiles)
    }

    /// Prepares its training with the training API.
    pub(super) fn training_api(
        self,
        runtime: &Runtime,
        device: Device,
    ) -> Result<ApiTrainer, EngineError> {
        let TrainableNetwork { network, loss } = self.network(self.masks())?;
        let evaluation = self.network(Dropout::Off)?.graph_of_both();
        let weights = self.weights(&network);
        let trainable: Vec<String> = weights.keys().cloned().collect();
        let optimizer = optimizer(&network.graph, &trainable, true);
        let artifacts = Artifacts::new(
            network.graph,
            loss,
            &evaluation,
            &trainable,
            &optimizer,
            Clipping::InTraining { parts: 1 },
            |name| weights.get(name),
        )?;
        ApiTrainer::new(runtime, device, artifacts)
    }

    fn masks(self) -> Dropout {
        match self.place {
            Place::Host => Dropout::Keyed,
            Place::Gpu(_) => Dropout::Random(SEED as u32),
        }
    }

    fn network(self, dropout: Dropout) -> Result<TrainableNetwork, EngineError> {
        let config = self.size.config(self.dropout);
        let word_rows = self.size.vocabulary;
        let kernels = self.kernels;
        let options = NetworkOptions {
            kernels,
            dropout,
            word_rows,
            positions_in_graph: false,
            packed: false,
        };
        TrainableNetwork::classifier(&config, Head::Auto, LABELS, options)
    }

    fn weights(self, network: &Network) -> BTreeMap<String, ArrayD<f32>> {
        init::missing(&network.graph, &self.size.config(self.dropout), |_, _| false, SEED)
    }
}

fn optimizer(graph: &Graph, trainable: &[String], decays_all: bool) -> OptimizerConfig {
    let decays = |name: &String| decays_all || !graph.marks(name).no_decay;
    let (decaying, spared): (Vec<String>, Vec<String>) =
        trainable.iter().cloned().partition(decays);
    let group = |(parameters, weight_decay): (Vec<String>, f32)| ParameterGroup {
        parameters,
        learning_rate: LEARNING_RATE,
        weight_decay,
        pull: 0.0,
    };
    let groups = [(decaying, 0.01), (spared, 0.0)];
    OptimizerConfig {
        update: Arc::new(AdamW::default()),
        gradient_clip: Some(1.0),
        groups: groups.into_iter().filter(|(names, _)| !names.is_empty()).map(group).collect(),
    }
}

/// Takes steps, one for each number, and returns their results.
pub(super) fn steps(
    trainer: &mut dyn Trainer,
    runtime: &Runtime,
    size: Size,
    numbers: std::ops::Range<u64>,
) -> Result<Vec<StepOutcome>, EngineError> {
    // A few batches are repeated, so that there is something to learn.
    let batches: Vec<_> = (0..4).map(|number| size.batch(number)).collect();
    let (mut outcomes, rates) = (Vec::new(), vec![LEARNING_RATE; trainer.groups()]);
    for (taken, number) in numbers.enumerate() {
        let feeds = batches[number as usize % batches.len()].clone();
        trainer.accumulate(runtime, feeds, Part::whole(number as i64))?;
        trainer.update(&rates)?;
        if (taken + 1) % trainer.lag() == 0 {
            outcomes.extend(trainer.outcomes()?);
        }
    }
    outcomes.extend(trainer.outcomes()?);
    Ok(outcomes)
}
