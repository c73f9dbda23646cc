//! States that are mixed between two layers: against `transformers`, and in every encoder.

use std::path::Path;

use ndarray::{ArrayD, Axis, IxDyn};
use serde::Deserialize;

use super::encoders::parts::builder::Dropout;
use super::{
    Config, Embedder, Head, HeadForm, MIXED_AT, Network, NetworkOptions, PARTNER_SHARES, PARTNERS,
    Pooling, Pretrained, Weights, init,
};
use crate::engine::backend::binding::Feed;
use crate::engine::samples::harness::{execute, near};
use crate::engine::{Graph, Kernels, TensorFact, Var, gradients};

type Tested = Result<(), Box<dyn std::error::Error>>;
type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Recorded {
    tmixes: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    after: usize,
    ids: Vec<Vec<i64>>,
    partners: Vec<i64>,
    shares: Vec<f32>,
    weight: Rows,
    bias: Vec<f32>,
    logits: Rows,
    /// Of the gain of the norm over the embeddings.
    gradient: Vec<f64>,
}

fn array(rows: &Rows) -> ArrayD<f64> {
    ArrayD::from_shape_fn(IxDyn(&[rows.len(), rows[0].len()]), |at| rows[at[0]][at[1]])
}

fn read(model: &str) -> Result<(Config, Weights), Box<dyn std::error::Error>> {
    let folder = format!("{}/tests/data/{model}", env!("CARGO_MANIFEST_DIR"));
    let Pretrained { mut config, mut weights, .. } = Pretrained::read(Path::new(&folder))?;
    (config.hidden_dropout, config.attention_dropout, config.classifier_dropout) = (0.0, 0.0, 0.0);
    Ok((config, weights.take()?))
}

fn options(config: &Config, kernels: Kernels) -> NetworkOptions {
    let word_rows = config.vocabulary;
    NetworkOptions {
        kernels,
        dropout: Dropout::Keyed,
        word_rows,
        positions_in_graph: false,
        packed: false,
    }
}

/// Draws what the weights lack.
fn fill(g: &Graph, config: &Config, weights: &mut Weights) {
    let is_there =
        |name: &str, shape: &[usize]| weights.get(name).is_some_and(|array| array.shape() == shape);
    let drawn = init::missing(g, config, is_there, 1);
    weights.extend(drawn);
}

/// Returns the feeds of texts without their mixing; padding has the id 0.
fn feeds(
    config: &Config,
    ids: &[Vec<i64>],
    weights: &Weights,
    graph: &Graph,
) -> Vec<(String, Feed)> {
    let shape = vec![ids.len(), ids[0].len()];
    let first = config.first_position() as i64;
    let positions =
        |text: &Vec<i64>| (0..text.len() as i64).map(|at| first + at).collect::<Vec<_>>();
    let ints = |values: Vec<i64>| Feed::I64(shape.clone(), values);
    let mut feeds = vec![
        ("input_ids".to_owned(), ints(ids.concat())),
        (
            "attention_mask".to_owned(),
            ints(ids.concat().iter().map(|id| (*id != 0).into()).collect()),
        ),
        ("position_ids".to_owned(), ints(ids.iter().flat_map(positions).collect())),
        ("dropout_key".to_owned(), Feed::I64(vec![1], vec![1])),
    ];
    for (name, _) in graph.parameters() {
        if let Some(array) = weights.get(name) {
            let values = array.iter().copied().collect();
            feeds.push((name.to_owned(), Feed::F32(array.shape().to_vec(), values)));
        }
    }
    feeds
}

/// Returns what mixes texts; `theirs` is what partners count.
fn mixing(partners: &[i64], theirs: Vec<f32>, place: usize, places: usize) -> Vec<(String, Feed)> {
    let at = (0..places).map(|own| if own == place { 1.0 } else { 0.0 }).collect();
    vec![
        (PARTNERS.to_owned(), Feed::I64(vec![partners.len()], partners.to_vec())),
        (PARTNER_SHARES.to_owned(), Feed::F32(vec![partners.len(), 1], theirs)),
        (MIXED_AT.to_owned(), Feed::F32(vec![places, 1], at)),
    ]
}

/// As layers of `transformers` give it (tests/record_stability.py).
#[test]
fn mixed_states_are_transformers() -> Tested {
    let recorded = include_str!("../../tests/data/stability.json");
    let Recorded { tmixes } = serde_json::from_str(recorded)?;
    let (config, mut weights) = read("tiny-bert")?;
    let form = HeadForm::Linear(Embedder::of(Pooling::Mean));
    for case in tmixes {
        let (weight, expected) = (array(&case.weight), array(&case.logits));
        weights.insert("classifier.weight".to_owned(), weight.mapv(|value| value as f32));
        weights.insert("classifier.bias".to_owned(), ndarray::Array1::from(case.bias).into_dyn());
        for kernels in [Kernels::Standard, Kernels::Fused] {
            let classes = expected.shape()[1];
            let (options, places) = (options(&config, kernels), [0, 1, 2]);
            let network = Network::mixed(&config, &form, classes, options, (None, &places))?;
            let (mut g, logits) = (network.graph, network.output);
            let factors = g.input("factors", TensorFact { ..g.fact(logits).clone() });
            let product = g.mul(logits, factors)?;
            let loss = g.reduce_sum(product, &[], false)?;
            let norm: Vec<Var> = g
                .parameters()
                .filter(|(name, _)| *name == "embeddings.LayerNorm.weight")
                .map(|(_, var)| var)
                .collect();
            let gradient = gradients(&mut g, loss, &norm)?[0].ok_or("no gradient")?;
            g.output("logits", logits);
            g.output("gradient", gradient);
            let mut feeds = feeds(&config, &case.ids, &weights, &g);
            let theirs = case.shares.iter().map(|share| 1.0 - share).collect();
            feeds.extend(mixing(&case.partners, theirs, case.after, places.len()));
            let factors = (1..=expected.len()).map(|factor| factor as f32).collect();
            feeds.push(("factors".to_owned(), Feed::F32(expected.shape().to_vec(), factors)));
            let found = execute(&g, feeds)?;
            near(&found["logits"], &expected, 1e-5)?;
            let wanted = ndarray::Array1::from(case.gradient.clone()).into_dyn();
            near(&found["gradient"], &wanted, 1e-4)?;
        }
    }
    Ok(())
}

/// A text that keeps nothing of itself is its partner, wherever it is mixed; one that keeps all is
/// left as it is.
#[test]
fn every_encoder_mixes_between_its_layers() -> Tested {
    let texts = vec![vec![2, 9, 14, 31, 3], vec![2, 11, 7, 8, 3], vec![2, 40, 8, 23, 3]];
    let partners = [2, 0, 1];
    for model in [
        "tiny-bert",
        "tiny-roberta",
        "tiny-distilbert",
        "tiny-mpnet",
        "tiny-electra",
        "tiny-albert",
        "tiny-modernbert",
        "tiny-deberta-v2",
        "tiny-nomic-bert",
        "tiny-gte",
    ] {
        let (config, mut weights) = read(model)?;
        for head in [Head::Mean, Head::Cls] {
            let places: Vec<usize> = (0..=config.layers).collect();
            let options = options(&config, Kernels::Fused);
            let found = |place: usize, theirs: f32, weights: &mut Weights| {
                let network = Network::mixed(&config, head, 2, options, (None, &places))?;
                let mut g = network.graph;
                g.output("logits", network.output);
                fill(&g, &config, weights);
                let mut feeds = feeds(&config, &texts, weights, &g);
                let theirs = vec![theirs; texts.len()];
                feeds.extend(mixing(&partners, theirs, place, places.len()));
                let found = execute(&g, feeds)?.remove("logits").ok_or("no logits")?;
                Ok::<ArrayD<f32>, Box<dyn std::error::Error>>(found)
            };
            let network = Network::new(&config, head, 2, options)?;
            let mut g = network.graph;
            g.output("logits", network.output);
            fill(&g, &config, &mut weights);
            let plain = execute(&g, feeds(&config, &texts, &weights, &g))?;
            let plain = plain["logits"].mapv(f64::from);
            let turned = plain.select(Axis(0), &partners.map(|text| text as usize));
            for &place in &places {
                let told = |error: String| format!("{model} {head:?} {place}: {error}");
                near(&found(place, 0.0, &mut weights)?, &plain, 1e-6).map_err(told)?;
                near(&found(place, 1.0, &mut weights)?, &turned, 1e-5).map_err(told)?;
            }
        }
    }
    Ok(())
}
