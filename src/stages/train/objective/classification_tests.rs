//! R-Drop and mixup compared with what PyTorch says (tests/record_stability.py).

use ndarray::{ArrayD, Axis, IxDyn, concatenate};
use serde::Deserialize;

use super::classification::{Classification, Form};
use super::contract::{MicroBatch, Objective as _};
use super::loss::{ClassWeights, Loss, targets};
use super::mixup::{Mix, Mixup};
use super::r_drop::RDrop;
use crate::data::{DataSet, Example, Splits, Task};
use crate::engine::backend::binding::Feed;
use crate::engine::graph::autodiff::gradients;
use crate::engine::graph::build::TARGETS;
use crate::engine::samples::harness::{execute, near};
use crate::engine::{Dim, Graph, Kernels, TensorFact};

type Tested = Result<(), Box<dyn std::error::Error>>;

#[derive(Deserialize)]
struct Recorded {
    r_drops: Vec<Agreement>,
    mixups: Vec<Mixed>,
}

#[derive(Deserialize)]
struct Agreement {
    alpha: f32,
    labels: Vec<usize>,
    /// Of both passes.
    logits: [Vec<Vec<f64>>; 2],
    loss: f64,
    gradient: [Vec<Vec<f64>>; 2],
}

#[derive(Deserialize)]
struct OfUnlabelled {
    weighted: Vec<Weighted>,
}

#[derive(Deserialize)]
struct Weighted {
    labels: Vec<usize>,
    logits: Vec<Vec<f64>>,
    counts: Vec<f64>,
    balanced: bool,
    smoothing: f32,
    loss: f64,
    gradient: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Mixed {
    labels: Vec<usize>,
    partners: Vec<usize>,
    shares: Vec<f32>,
    z: Vec<Vec<f64>>,
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
    loss: f64,
    gradient: Vec<Vec<f64>>,
    weight_gradient: Vec<Vec<f64>>,
}

fn recorded() -> Result<Recorded, serde_json::Error> {
    serde_json::from_str(include_str!("../../../../tests/data/stability.json"))
}

/// Returns rows as one array.
fn array(rows: &[Vec<f64>]) -> ArrayD<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let values = rows.concat();
    ArrayD::from_shape_fn(IxDyn(&[rows.len(), width]), |at| values[at[0] * width + at[1]])
}

fn feed(array: &ArrayD<f64>) -> Feed {
    Feed::F32(array.shape().to_vec(), array.iter().map(|value| *value as f32).collect())
}

fn data(labels: &[usize], classes: usize) -> DataSet {
    let train = labels.iter().enumerate();
    let train = train.map(|(row, label)| Example::original(row.to_string(), "", *label)).collect();
    DataSet {
        task: Task::Classes { labels: (0..classes).map(|class| class.to_string()).collect() },
        splits: Splits { train, ..Splits::default() },
        ..DataSet::default()
    }
}

#[test]
fn r_drop_is_pytorchs_also_in_parts() -> Tested {
    for Agreement { alpha, labels, logits, loss: expected, gradient } in recorded()?.r_drops {
        let (logits, expected_gradient) = (logits.map(|rows| array(&rows)), gradient);
        let classes = logits[0].shape()[1];
        let data = data(&labels, classes);
        let settings = Loss { r_drop: Some(RDrop { alpha }), ..Loss::default() };
        let objective = Classification::new(&settings, &data, Form::Targets)?;
        assert_eq!(objective.passes(), 2);
        let mut g = Graph::new(Kernels::Fused);
        let shape = vec![Dim::Named("B"), Dim::Fixed(classes)];
        let input = g.input("logits", TensorFact::f32(shape));
        let scalar = objective.loss(&mut g, input)?;
        let gradient = gradients(&mut g, scalar, &[input])?[0].ok_or("no gradient")?;
        g.output("loss", scalar);
        g.output("gradient", gradient);
        let batch: Vec<usize> = (0..labels.len()).collect();
        for part in [batch.len(), 2] {
            let mut total = 0.0;
            for members in batch.chunks(part) {
                let micro_batch =
                    MicroBatch { members, batch: &batch, batches: 1, key: 0, batch_key: 0 };
                let mut feeds = objective.feeds(&micro_batch);
                let rows = logits.each_ref().map(|pass| pass.select(Axis(0), members));
                let rows = concatenate(Axis(0), &[rows[0].view(), rows[1].view()])?;
                feeds.push(("logits".to_owned(), feed(&rows)));
                let mut found = execute(&g, feeds)?;
                total += found["loss"].first().copied().map_or(f64::NAN, f64::from);
                let found = found.remove("gradient").ok_or("no gradient")?;
                let wanted =
                    expected_gradient.each_ref().map(|pass| array(pass).select(Axis(0), members));
                let wanted = concatenate(Axis(0), &[wanted[0].view(), wanted[1].view()])?;
                near(&found, &wanted, 1e-5)?;
            }
            assert!((total - expected).abs() < 1e-6 * expected.max(1.0), "{total} {expected}");
        }
    }
    Ok(())
}

/// A batch's loss by weights of texts and of classes is PyTorch's (tests/record_unlabelled.py), and
/// so is the sum of those of its parts.
#[test]
fn weights_of_texts_are_pytorchs_also_in_parts() -> Tested {
    let recorded: OfUnlabelled =
        serde_json::from_str(include_str!("../../../../tests/data/unlabelled.json"))?;
    for case in recorded.weighted {
        let (logits, expected) = (array(&case.logits), array(&case.gradient));
        let classes = logits.shape()[1];
        let data = data(&case.labels, classes);
        let class_weights = case.balanced.then_some(ClassWeights::Balanced);
        let label_smoothing = case.smoothing;
        let settings = Loss { class_weights, label_smoothing, ..Loss::default() };
        let objective = Classification::new(&settings, &data, Form::Targets)?;
        let objective = objective.weighted(Some(&case.counts));
        let mut g = Graph::new(Kernels::Fused);
        let shape = vec![Dim::Named("B"), Dim::Fixed(classes)];
        let input = g.input("logits", TensorFact::f32(shape));
        let scalar = objective.loss(&mut g, input)?;
        let gradient = gradients(&mut g, scalar, &[input])?[0].ok_or("no gradient")?;
        g.output("loss", scalar);
        g.output("gradient", gradient);
        let batch: Vec<usize> = (0..case.labels.len()).collect();
        for part in [batch.len(), 2] {
            let mut total = 0.0;
            for members in batch.chunks(part) {
                let micro_batch =
                    MicroBatch { members, batch: &batch, batches: 1, key: 0, batch_key: 0 };
                let mut feeds = objective.feeds(&micro_batch);
                feeds.push(("logits".to_owned(), feed(&logits.select(Axis(0), members))));
                let found = execute(&g, feeds)?;
                total += found["loss"].first().copied().map_or(f64::NAN, f64::from);
                near(&found["gradient"], &expected.select(Axis(0), members), 1e-5)?;
            }
            assert!((total - case.loss).abs() < 1e-6, "{total} {}", case.loss);
        }
    }
    Ok(())
}

/// PyTorch has mixed the vectors below the layer.
#[test]
fn mixing_logits_is_mixing_what_the_layer_reads() -> Tested {
    for mixed in recorded()?.mixups {
        let (z, weight) = (array(&mixed.z), array(&mixed.weight));
        let [texts, classes] = [z.shape()[0], weight.shape()[0]];
        let mut g = Graph::new(Kernels::Fused);
        let fixed = |size| vec![Dim::Named("B"), Dim::Fixed(size)];
        let input = g.input("z", TensorFact::f32(fixed(z.shape()[1])));
        let matrix = g.parameter("weight", weight.shape(), crate::engine::Marks::default());
        let bias = g.parameter("bias", &[classes], crate::engine::Marks::default());
        let logits = g.linear(input, matrix, Some(bias))?;
        let logits = Mixup::graph(&mut g, logits)?;
        let scalar = g.weighted_cross_entropy(logits)?;
        let by = gradients(&mut g, scalar, &[input, matrix])?;
        g.output("loss", scalar);
        g.output("of_z", by[0].ok_or("no gradient")?);
        g.output("of_weight", by[1].ok_or("no gradient")?);
        let counted: Vec<(usize, f32)> = mixed.labels.iter().map(|&label| (label, 1.0)).collect();
        let plain = targets(&counted, &vec![1.0; classes], 0.0, texts as f32);
        let mix = Mix { partners: mixed.partners, shares: mixed.shares, place: None };
        let values = mix.targets(&plain, classes);
        let mut feeds = vec![
            ("z".to_owned(), feed(&z)),
            ("weight".to_owned(), feed(&weight)),
            ("bias".to_owned(), feed(&ArrayD::from_shape_vec(vec![classes], mixed.bias)?)),
            (TARGETS.to_owned(), Feed::F32(vec![texts, classes], values)),
        ];
        feeds.extend(mix.feeds());
        let found = execute(&g, feeds)?;
        let loss = found["loss"].first().copied().map_or(f64::NAN, f64::from);
        assert!((loss - mixed.loss).abs() < 1e-6, "{loss} {}", mixed.loss);
        near(&found["of_z"], &array(&mixed.gradient), 1e-5)?;
        near(&found["of_weight"], &array(&mixed.weight_gradient), 1e-5)?;
    }
    Ok(())
}
