//! Lower precision: what the graphs look like, what they compute, and the scaling of the loss.

use std::collections::HashMap;

use ndarray::{ArrayD, IxDyn};
use serde::Deserialize;

use super::network::{ADAMW, EXAMPLES, all, feeds, network, optimizer, parameters, trainer_of};
use crate::engine::backend::binding::{Feed, Parameters};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::gradients::differentiate;
use crate::engine::backend::place::Place;
use crate::engine::backend::session::SessionTrainer;
use crate::engine::backend::trainer::{Part, StepOutcome, Trainer};
use crate::engine::graph::fact::DType;
use crate::engine::graph::graph::{Graph, Kernels, Marks};
use crate::engine::graph::loss_scale::{LossScaling, NEW_SCALER, SCALER};
use crate::engine::graph::lower::lower;
use crate::engine::graph::optimizer::config::LEARNING_RATES;
use crate::engine::onnx::proto::ModelProto;
use crate::engine::samples::harness::{execute, near, runtime};
use crate::engine::{Precision, Products, onnx};

type TestError = Box<dyn std::error::Error>;

/// Returns the gradient graph of the test network.
fn gradient_graph() -> Result<Graph, EngineError> {
    let (mut graph, loss) = network(Kernels::Standard, 0.0)?;
    let names: Vec<String> = all().into_iter().map(str::to_owned).collect();
    let found = differentiate(&mut graph, loss, &names)?;
    graph.output("loss", loss);
    for (index, (_, gradient)) in found.iter().enumerate() {
        graph.output(&format!("gradient.{index}"), *gradient);
    }
    Ok(graph)
}

fn read(graph: &Graph) -> ModelProto {
    prost::Message::decode(onnx::write(graph).as_slice()).expect("what was written can be read")
}

#[test]
fn casts_stand_around_products_only() -> Result<(), EngineError> {
    let plain = read(&gradient_graph()?).graph.expect("a graph");
    let graph =
        read(&lower(gradient_graph()?, DType::F16, Products::Native)).graph.expect("a graph");
    let mut types: HashMap<String, i32> =
        graph.input.iter().map(|input| (input.name.clone(), 1)).collect();
    let mut casts = Vec::new();
    let mut products = 0;
    for node in &graph.node {
        let of_input = node.input.first().and_then(|input| types.get(input)).copied().unwrap_or(1);
        let result = match node.op_type.as_str() {
            "Cast" => {
                casts.push(node.input[0].clone());
                node.attribute
                    .iter()
                    .find(|attribute| attribute.name == "to")
                    .map_or(0, |to| to.i as i32)
            }
            "Gemm" | "MatMul" => {
                products += 1;
                for input in node.input.iter().filter(|input| !input.is_empty()) {
                    assert_eq!(types.get(input), Some(&10), "{} reads {input}", node.name);
                }
                10
            }
            "Transpose" | "Reshape" => of_input,
            _ => {
                assert_eq!(of_input, 1, "{} ({}) computes in f32", node.name, node.op_type);
                1
            }
        };
        types.extend(node.output.iter().map(|output| (output.clone(), result)));
    }
    let before =
        plain.node.iter().filter(|node| ["Gemm", "MatMul"].contains(&node.op_type.as_str()));
    assert_eq!(products, before.count());
    let distinct: std::collections::HashSet<&String> = casts.iter().collect();
    assert_eq!(distinct.len(), casts.len(), "something is cast twice: {casts:?}");
    for weight in ["w1", "w2", "w3"] {
        assert!(
            casts.iter().any(|cast| cast == weight),
            "{weight} is narrowed once, for all of its products"
        );
    }
    for output in &graph.output {
        assert_eq!(types[&output.name], 1, "{} is f32", output.name);
    }
    Ok(())
}

#[test]
fn what_only_moves_stays_narrow_between_products() -> Result<(), EngineError> {
    let mut g = Graph::new(Kernels::Standard);
    let [a, b] = ["a", "b"].map(|name| g.parameter(name, &[4, 4], Marks::default()));
    let first = g.matmul(a, b)?;
    let moved = g.reshape(first, &[2, 8])?;
    let moved = g.transpose(moved, &[1, 0])?;
    let moved = g.reshape(moved, &[4, 4])?;
    let second = g.matmul(moved, b)?;
    g.output("second", second);
    let lowered = lower(g, DType::F16, Products::Native);
    assert_eq!(
        onnx::operators(&onnx::write(&lowered)),
        ["Cast", "Cast", "MatMul", "Reshape", "Transpose", "Reshape", "MatMul", "Cast"]
    );
    Ok(())
}

fn step(trainer: &mut SessionTrainer, rate: f64) -> Result<StepOutcome, EngineError> {
    trainer.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(3))?;
    trainer.update(&[rate])?;
    trainer.outcomes()?.pop().ok_or(EngineError::NoOutput)
}

fn trainer(precision: Precision) -> Result<SessionTrainer, EngineError> {
    let (graph, loss) = network(Kernels::Standard, 0.1)?;
    trainer_of(graph, loss, parameters()?, &all(), ADAMW, precision)
}

/// The distances are those that the precisions promise: the loss of every one of fifty steps,
/// beside that of fp32.
#[test]
fn the_losses_stay_near_those_of_single_precision() -> Result<(), EngineError> {
    for (precision, distance) in [(Precision::Fp16, 2e-3), (Precision::Bf16, 2e-2)] {
        let (mut exact, mut low) = (trainer(Precision::Fp32)?, trainer(precision)?);
        let mut largest = 0.0_f32;
        for number in 0..50 {
            let (expected, found) = (step(&mut exact, 1e-2)?, step(&mut low, 1e-2)?);
            assert!(!found.skipped);
            largest = largest.max((found.loss() - expected.loss()).abs());
            assert!(
                (found.loss() - expected.loss()).abs() < distance,
                "{precision:?} step {number}: {} beside {}",
                found.loss(),
                expected.loss()
            );
        }
        // A precision that changes nothing would not be one.
        assert!(largest > 1e-6, "{precision:?}: {largest}");
    }
    Ok(())
}

#[test]
fn rounded_and_native_products_agree() -> Result<(), EngineError> {
    let run = |products| -> Result<_, EngineError> {
        let graph = lower(gradient_graph()?, DType::F16, products);
        let mut all_feeds = feeds(0..EXAMPLES);
        let weights = parameters()?;
        for name in all() {
            let array = weights.copy(name)?;
            all_feeds.push((
                name.to_owned(),
                Feed::F32(array.shape().to_vec(), array.into_iter().collect()),
            ));
        }
        execute(&graph, all_feeds)
    };
    let (native, rounded) = (run(Products::Native)?, run(Products::Rounded)?);
    for (name, expected) in &rounded {
        near(&native[name], &expected.mapv(f64::from), 2e-3)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Recorded {
    start: Vec<Vec<f32>>,
    steps: Vec<RecordedStep>,
}

#[derive(Deserialize)]
struct RecordedStep {
    gradients: Vec<Vec<String>>,
    norm: String,
    scale: f32,
    parameters: Vec<Vec<f32>>,
}

/// PyTorch's GradScaler with AdamW and clipping, recorded by tests/record_loss_scale.py: overflows
/// at the beginning, in between and late.
#[test]
fn scaling_is_pytorchs() -> Result<(), TestError> {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/loss_scale.json"));
    let recorded: Recorded = serde_json::from_str(text)?;
    let shapes = [vec![3, 2], vec![4]];
    let mut config = optimizer(ADAMW, &["0", "1"]);
    config.groups[0].weight_decay = 0.1;
    let named: Vec<_> = (0..).map(|i: usize| i.to_string()).zip(shapes.clone()).collect();
    let scaling = LossScaling { initial: 1024.0, growth_interval: 3, ..LossScaling::default() };
    let graph = config.graph(&named, Kernels::Standard, Some(&scaling))?;
    let feed =
        |array: &ArrayD<f32>| Feed::F32(array.shape().to_vec(), array.iter().copied().collect());
    let mut tensors: HashMap<String, ArrayD<f32>> = HashMap::new();
    for (i, shape) in shapes.iter().enumerate() {
        let start = ArrayD::from_shape_vec(IxDyn(shape), recorded.start[i].clone())?;
        tensors.insert(format!("parameter.{i}"), start);
        for j in 0..2 {
            tensors.insert(format!("state.{i}.{j}"), ArrayD::zeros(IxDyn(shape)));
        }
    }
    tensors
        .insert(SCALER.to_owned(), ArrayD::from_shape_vec(IxDyn(&[3]), scaling.state().to_vec())?);
    for (number, step) in recorded.steps.iter().enumerate() {
        let scale = tensors[SCALER][0];
        let mut feeds: Vec<(String, Feed)> =
            tensors.iter().map(|(name, array)| (name.clone(), feed(array))).collect();
        for (i, gradient) in step.gradients.iter().enumerate() {
            let values: Result<Vec<f32>, _> =
                gradient.iter().map(|value| value.parse::<f32>()).collect();
            let scaled = values?.into_iter().map(|value| value * scale).collect();
            feeds.push((format!("gradient.{i}"), Feed::F32(shapes[i].clone(), scaled)));
        }
        // The host says nothing of the step's number: it does not know which were taken.
        feeds.push((LEARNING_RATES.to_owned(), Feed::F32(vec![1], vec![0.02])));
        let outputs = execute(&graph, feeds)?;
        let norm: f32 = step.norm.parse()?;
        let found = outputs["gradient_norm"][0];
        assert!(
            (found - norm).abs() < 1e-5 || (!found.is_finite() && !norm.is_finite()),
            "step {number}: norm {found}, PyTorch {norm}"
        );
        for (i, wanted) in step.parameters.iter().enumerate() {
            let wanted = ArrayD::from_shape_vec(IxDyn(&shapes[i]), wanted.clone())?.mapv(f64::from);
            let found = outputs[&format!("new_parameter.{i}")].clone();
            near(&found, &wanted, 1e-6)
                .map_err(|error| format!("step {number}, parameter {i}: {error}"))?;
            tensors.insert(format!("parameter.{i}"), found);
            for j in 0..2 {
                tensors.insert(
                    format!("state.{i}.{j}"),
                    outputs[&format!("new_state.{i}.{j}")].clone(),
                );
            }
        }
        tensors.insert(SCALER.to_owned(), outputs[NEW_SCALER].clone());
        assert_eq!(tensors[SCALER][0], step.scale, "scale after step {number}");
    }
    Ok(())
}

/// Gradients of half precision that overflow: nothing moves, the scale is halved until they fit,
/// and from there on it is trained.
#[test]
fn steps_that_overflow_are_left_out() -> Result<(), EngineError> {
    let mut trainer = trainer(Precision::Fp16)?;
    let large = |(name, feed): (String, Feed)| match feed {
        Feed::F32(shape, values) if name == "targets" => {
            (name, Feed::F32(shape, values.into_iter().map(|value| value * 200.0).collect()))
        }
        feed => (name, feed),
    };
    let before = trainer.parameters().copy("w1")?;
    let (mut skipped, mut taken) = (0, 0);
    while taken < 3 && skipped < 40 {
        let feeds = feeds(0..EXAMPLES).into_iter().map(large).collect();
        trainer.accumulate(runtime(), feeds, Part::whole(3))?;
        trainer.update(&[1e-2])?;
        let outcome = trainer.outcomes()?.pop().ok_or(EngineError::NoOutput)?;
        assert!(outcome.loss().is_finite());
        if outcome.skipped {
            assert_eq!(trainer.parameters().copy("w1")?, before);
            skipped += 1;
        } else {
            assert_ne!(trainer.parameters().copy("w1")?, before);
            taken += 1;
        }
        let state = trainer.state()?;
        assert_eq!(state[SCALER][0], 65536.0 / 2.0_f32.powi(skipped));
        assert_eq!(state[SCALER][2], taken as f32);
    }
    assert!(skipped > 0 && taken == 3, "{skipped} skipped, {taken} taken");
    Ok(())
}

#[test]
fn a_resumed_training_goes_on_with_its_scale() -> Result<(), EngineError> {
    let (mut through, mut resumed) = (trainer(Precision::Fp16)?, trainer(Precision::Fp16)?);
    for _ in 0..3 {
        step(&mut through, 0.05)?;
    }
    let saved = through.state()?;
    resumed.restore(runtime(), &saved, through.steps())?;
    for _ in 0..3 {
        assert_eq!(step(&mut through, 0.05)?, step(&mut resumed, 0.05)?);
    }
    assert_eq!(through.state()?, resumed.state()?);
    Ok(())
}

/// A step that was begun and given up leaves no trace.
#[test]
fn an_abandoned_step_leaves_nothing_behind() -> Result<(), EngineError> {
    let (mut plain, mut abandoning) = (trainer(Precision::Fp32)?, trainer(Precision::Fp32)?);
    abandoning.accumulate(runtime(), feeds(0..2), Part::whole(1))?;
    abandoning.accumulate(runtime(), feeds(2..4), Part::whole(1))?;
    abandoning.abandon()?;
    abandoning.spare_memory();
    assert_eq!(step(&mut plain, 0.05)?, step(&mut abandoning, 0.05)?);
    assert_eq!(plain.state()?, abandoning.state()?);
    Ok(())
}

#[test]
fn parameters_can_be_set_where_they_lie() -> Result<(), EngineError> {
    runtime();
    let mut parameters = Parameters::new(Place::Host, [("a", &ArrayD::zeros(vec![2]))])?;
    let ones = ArrayD::from_elem(vec![2], 1.0);
    parameters.set("a", &ones)?;
    assert_eq!(parameters.copy("a")?, ones);
    Ok(())
}
