//! An encoder that differs from all others, on the same blocks: pre-norm layers that share their
//! parameters, a norm at the end, and no token types.

use std::error::Error;
use std::sync::Arc;

use serde_json::Value;

use super::bert::{self, BERT};
use super::contract::{Config, Encoder, Layer, Masked, as_read};
use super::parts::builder::{Activation, Builder, Dropout, NetworkOptions};
use crate::base::report::Silent;
use crate::engine::backend::binding::{Feed, Parameters};
use crate::engine::graph::attention::Heads;
use crate::engine::{
    AdamW, Device, Kernels, OptimizerConfig, ParameterGroup, Part, Place, Precision, Recipe,
    Runtime, SessionTrainer, ShapeError, Trainer as _, Var,
};
use crate::model::head::{Head, Pooling};
use crate::model::init;
use crate::model::network::Network;

static OTHER: Encoder = Encoder {
    model_types: &[("other", "Other")],
    prefix: "other.",
    pooler: None,
    pretrained_head: None,
    positions: BERT.positions,
    padding_id: 0,
    config: bert::config,
    embeddings: bert::embeddings,
    layer,
    last: Some(last),
    head: |b, config, x, labels| b.linear(x, "classifier", labels, config.hidden),
    sets_pooling: false,
    modernise: as_read,
    decodes: false,
    masked: &[Masked { transform: |_, _, x| Ok(x), words: "", biases: &[] }],
};

fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let (hidden, epsilon) = (config.hidden, config.layer_norm_epsilon);
    let (heads, x) = (Heads::plain(config.heads), layer.below);
    let norm = b.norm("shared.first_norm", hidden, epsilon);
    let normed = b.normed(x, norm)?;
    let (asking, residual) = if layer.first_token_only {
        (b.first_tokens(normed)?, b.first_tokens(x)?)
    } else {
        (normed, x)
    };
    let modules = ["query", "key", "value"].map(|part| format!("shared.{part}"));
    let context = b.attention(asking, normed, &modules, hidden, heads, config.attention_dropout)?;
    let attended = b.linear_apart(context, "shared.out", hidden, hidden)?;
    let x = b.add(attended, residual, config.hidden_dropout)?;
    let norm = b.norm("shared.second_norm", hidden, epsilon);
    let normed = b.normed(x, norm)?;
    let modules = ["shared.up", "shared.down"];
    let made = b.mlp(normed, modules, [hidden, config.intermediate], config.activation)?;
    b.add(made, x, config.hidden_dropout)
}

fn last(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let norm = b.norm("last_norm", config.hidden, config.layer_norm_epsilon);
    b.normed(x, norm)
}

fn config(layers: usize) -> Config {
    Config {
        encoder: &OTHER,
        vocabulary: 20,
        hidden: 16,
        embedding: 16,
        layers,
        heads: 2,
        intermediate: 24,
        activation: Activation::Gelu,
        positions: 8,
        token_types: 0,
        layer_norm_epsilon: 1e-12,
        hidden_dropout: 0.1,
        attention_dropout: 0.1,
        classifier_dropout: 0.1,
        padding_id: 0,
        initializer_range: 0.2,
        head_reads: Pooling::Cls,
        own: Value::Null,
    }
}

fn network(layers: usize, head: Head, kernels: Kernels) -> Result<Network, ShapeError> {
    let options = NetworkOptions {
        kernels,
        dropout: Dropout::Keyed,
        word_rows: 20,
        positions_in_graph: false,
        packed: false,
    };
    Network::new(&config(layers), head, 2, options)
}

#[test]
fn parameters_are_shared_and_marked() -> Result<(), ShapeError> {
    let graph = network(3, Head::Auto, Kernels::Standard)?.graph;
    let names: Vec<&str> = graph.parameters().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 4 + 16 + 2 + 2, "{names:?}");
    let one = network(1, Head::Auto, Kernels::Standard)?.graph;
    assert!(one.parameters().map(|(name, _)| name).eq(names.iter().copied()));
    assert_eq!(graph.word_table(), Some("embeddings.word_embeddings.weight"));
    let all = |test: &dyn Fn(&str) -> bool| {
        names.iter().copied().filter(|name| test(name)).collect::<Vec<_>>()
    };
    assert_eq!(all(&|name| graph.marks(name).head), ["classifier.weight", "classifier.bias"]);
    let spared = all(&|name| name.ends_with(".bias") || name.contains("orm."));
    assert_eq!(all(&|name| graph.marks(name).no_decay), spared);
    // What layers share, and what follows them, counts to the highest.
    let of_layers = all(&|name| name.starts_with("shared.") || name.starts_with("last_norm."));
    assert_eq!(all(&|name| graph.marks(name).layer == Some(2)), of_layers);
    Ok(())
}

#[test]
fn both_kinds_of_kernels_train_it_alike() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::get(Device::Cpu, 2, &Silent)?;
    for head in [Head::Auto, Head::Mean] {
        let losses = |kernels| -> Result<Vec<f32>, Box<dyn Error>> {
            let mut network = network(2, head, kernels)?;
            let loss = network.graph.weighted_cross_entropy(network.output)?;
            let weights = init::missing(&network.graph, &config(2), |_, _| false, 1);
            let trainable: Vec<String> = weights.keys().cloned().collect();
            let (parameters, learning_rate) = (trainable.clone(), 3e-3);
            let group = ParameterGroup { parameters, learning_rate, weight_decay: 0.01, pull: 0.0 };
            let update = Arc::new(AdamW::default());
            let optimizer = OptimizerConfig { update, gradient_clip: None, groups: vec![group] };
            let recipe = Recipe { loss, trainable, optimizer, precision: Precision::Fp32 };
            let named = weights.iter().map(|(name, array)| (name.as_str(), array));
            let parameters = Parameters::new(Place::Host, named)?;
            let mut trainer = SessionTrainer::new(runtime, network.graph, parameters, recipe)?;
            for step in 0..30 {
                let tokens = |values: [i64; 8]| Feed::I64(vec![2, 4], values.to_vec());
                let feeds = vec![
                    ("input_ids".to_owned(), tokens([1, 5, 6, 2, 1, 7, 2, 0])),
                    ("attention_mask".to_owned(), tokens([1, 1, 1, 1, 1, 1, 1, 0])),
                    ("position_ids".to_owned(), tokens([0, 1, 2, 3, 0, 1, 2, 3])),
                    ("targets".to_owned(), Feed::F32(vec![2, 2], vec![0.5, 0.0, 0.0, 0.5])),
                ];
                trainer.accumulate(runtime, feeds, Part::whole(step))?;
                trainer.update(&[3e-3])?;
            }
            Ok(trainer.outcomes()?.iter().map(|outcome| outcome.loss()).collect())
        };
        let (fused, standard) = (losses(Kernels::Fused)?, losses(Kernels::Standard)?);
        assert_eq!(fused.len(), 30);
        for (step, (a, b)) in fused.iter().zip(&standard).enumerate() {
            assert!((a - b).abs() < 1e-3, "{head:?} step {step}: {a} {b}");
        }
        assert!(fused[29] < fused[0] / 4.0, "{head:?}: {fused:?}");
    }
    Ok(())
}
