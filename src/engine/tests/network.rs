//! A small network of every kind of composite but attention.

use std::ops::Range;
use std::sync::Arc;

use ndarray::ArrayD;

use crate::engine::backend::binding::{Feed, Parameters};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::place::Place;
use crate::engine::backend::session::{Recipe, SessionTrainer};
use crate::engine::graph::build::{DropoutAt, DropoutSource};
use crate::engine::graph::fact::{DType, Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Kernels, Marks, Var};
use crate::engine::graph::optimizer::{AdamW, OptimizerConfig, ParameterGroup, Sgd, Update};
use crate::engine::runtime::device::Precision;
use crate::engine::samples::harness::{Numbers, runtime};

/// Examples of a whole batch.
pub(super) const EXAMPLES: usize = 6;
/// The parameters from the input up, with their shapes.
pub(super) const PARAMETERS: [(&str, &[usize]); 8] = [
    ("w1", &[8, 5]),
    ("b1", &[8]),
    ("w2", &[8, 8]),
    ("b2", &[8]),
    ("gamma", &[8]),
    ("beta", &[8]),
    ("w3", &[3, 8]),
    ("b3", &[3]),
];

/// Builds the network and returns it with its loss.
pub(super) fn network(kernels: Kernels, rate: f32) -> Result<(Graph, Var), ShapeError> {
    network_with_logits(kernels, rate).map(|(graph, loss, _)| (graph, loss))
}

/// Builds the network and returns it with its loss and its logits.
pub(super) fn network_with_logits(
    kernels: Kernels,
    rate: f32,
) -> Result<(Graph, Var, Var), ShapeError> {
    let mut g = Graph::new(kernels);
    let x = g.input("x", TensorFact::f32(vec![Dim::Named("B"), Dim::Fixed(5)]));
    let key = g.input("dropout_key", TensorFact { dtype: DType::I64, shape: vec![Dim::Fixed(1)] });
    let [w1, b1, w2, b2, gamma, beta, w3, b3] =
        PARAMETERS.map(|(name, shape)| g.parameter(name, shape, Marks::default()));
    let hidden = g.linear(x, w1, None)?;
    let hidden = g.bias_gelu(hidden, b1, false)?;
    let inner = g.linear(hidden, w2, None)?;
    let normed = g.add_norm(
        inner,
        Some(b2),
        Some(hidden),
        (gamma, beta, 1e-5),
        DropoutAt { rate, site: 1, source: DropoutSource::Key(key) },
    )?;
    let logits = g.linear(normed, w3, Some(b3))?;
    let loss = g.weighted_cross_entropy(logits)?;
    Ok((g, loss, logits))
}

pub(super) fn parameters() -> Result<Parameters, EngineError> {
    // Tensors are allocated by the library, which a test may not have loaded yet.
    runtime();
    let mut numbers = Numbers::new(21);
    let weights: Vec<ArrayD<f32>> = PARAMETERS
        .iter()
        .map(|(_, shape)| numbers.real(shape).mapv(|value| value as f32))
        .collect();
    Parameters::new(Place::Host, PARAMETERS.iter().map(|(name, _)| *name).zip(&weights))
}

pub(super) fn optimizer(update: impl Update + 'static, parameters: &[&str]) -> OptimizerConfig {
    let parameters = parameters.iter().map(|name| (*name).to_owned()).collect();
    OptimizerConfig {
        update: Arc::new(update),
        gradient_clip: Some(1.0),
        groups: vec![ParameterGroup {
            parameters,
            learning_rate: 1e-2,
            weight_decay: 0.01,
            pull: 0.0,
        }],
    }
}

pub(super) const SGD: Sgd = Sgd { momentum: 0.9 };
pub(super) const ADAMW: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

pub(super) fn trainer(
    kernels: Kernels,
    rate: f32,
    trainable: &[&str],
    update: impl Update + 'static,
) -> Result<SessionTrainer, EngineError> {
    let (graph, loss) = network(kernels, rate)?;
    trainer_of(graph, loss, parameters()?, trainable, update, Precision::Fp32)
}

/// Prepares the training of a network.
pub(super) fn trainer_of(
    graph: Graph,
    loss: Var,
    parameters: Parameters,
    trainable: &[&str],
    update: impl Update + 'static,
    precision: Precision,
) -> Result<SessionTrainer, EngineError> {
    let names = trainable.iter().map(|name| (*name).to_owned()).collect();
    let optimizer = optimizer(update, trainable);
    let recipe = Recipe { loss, trainable: names, optimizer, precision };
    SessionTrainer::new(runtime(), graph, parameters, recipe)
}

/// Returns all names.
pub(super) fn all() -> Vec<&'static str> {
    PARAMETERS.iter().map(|(name, _)| *name).collect()
}

/// Returns examples of the batch; their targets are divided by the whole batch's size.
pub(super) fn feeds(examples: Range<usize>) -> Vec<(String, Feed)> {
    let mut numbers = Numbers::new(22);
    let x: Vec<f32> = (0..EXAMPLES * 5).map(|_| numbers.between(-1.0, 1.0) as f32).collect();
    let rows = examples.len();
    let targets = examples.clone().flat_map(|example| {
        (0..3).map(move |label| if example % 3 == label { 1.0 / EXAMPLES as f32 } else { 0.0 })
    });
    vec![
        (
            "x".to_owned(),
            Feed::F32(vec![rows, 5], x[examples.start * 5..examples.end * 5].to_vec()),
        ),
        ("targets".to_owned(), Feed::F32(vec![rows, 3], targets.collect())),
        ("attention_mask".to_owned(), Feed::I64(vec![rows, 1], vec![1; rows])),
    ]
}
