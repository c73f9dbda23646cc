//! The trainer: accumulation, frozen parameters, both kinds of kernels, resuming.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::ArrayD;
use prost::Message as _;

use super::network::{ADAMW, EXAMPLES, SGD, all, feeds, network, trainer};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::session::SessionTrainer;
use crate::engine::backend::trainer::{Part, StepOutcome, Trainer};
use crate::engine::graph::autodiff::gradients;
use crate::engine::graph::fact::{Dim, TensorFact};
use crate::engine::graph::graph::{Graph, Kernels, Marks, Var};
use crate::engine::graph::optimizer::Update;
use crate::engine::onnx;
use crate::engine::onnx::proto::ModelProto;
use crate::engine::samples::harness::{near, runtime};

/// Takes a step and returns what it gave.
fn update(trainer: &mut SessionTrainer, rate: f64) -> Result<StepOutcome, EngineError> {
    trainer.update(&[rate])?;
    trainer.outcomes()?.pop().ok_or(EngineError::NoOutput)
}

fn weights(trainer: &SessionTrainer) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError> {
    all().into_iter().map(|name| Ok((name.to_owned(), trainer.parameters().copy(name)?))).collect()
}

fn assert_near(
    found: &SessionTrainer,
    expected: &SessionTrainer,
    tolerance: f64,
) -> Result<(), EngineError> {
    let expected = weights(expected)?;
    for (name, found) in weights(found)? {
        near(&found, &expected[&name].mapv(f64::from), tolerance)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    Ok(())
}

fn norms_near(a: &StepOutcome, b: &StepOutcome) -> bool {
    matches!((a.gradient_norm, b.gradient_norm), (Some(a), Some(b)) if (a - b).abs() < 1e-5)
}

/// The same batches, whole and in parts whose number changes from step to step.
#[test]
fn parts_of_a_step_add_up_to_the_whole() -> Result<(), EngineError> {
    #[expect(clippy::single_range_in_vec_init, reason = "one part is a case too")]
    let steps: [&[Range<usize>]; 5] =
        [&[0..4, 4..6], &[0..6], &[0..1, 1..3, 3..6], &[0..3, 3..6], &[0..6]];
    for kernels in [Kernels::Fused, Kernels::Standard] {
        let (mut whole, mut parted) =
            (trainer(kernels, 0.0, &all(), SGD)?, trainer(kernels, 0.0, &all(), SGD)?);
        for parts in steps {
            whole.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(1))?;
            for part in parts {
                parted.accumulate(runtime(), feeds(part.clone()), Part::whole(1))?;
            }
            for (index, name) in all().into_iter().enumerate() {
                near(&parted.gradient(index)?, &whole.gradient(index)?.mapv(f64::from), 1e-5)
                    .unwrap_or_else(|error| {
                        panic!("{kernels:?}: gradient of {name} in {parts:?}: {error}")
                    });
            }
            let (expected, found) = (update(&mut whole, 0.1)?, update(&mut parted, 0.1)?);
            assert!(
                (expected.loss() - found.loss()).abs() < 1e-5 && norms_near(&expected, &found),
                "{expected:?} {found:?}"
            );
        }
        assert_near(&parted, &whole, 1e-5)?;
    }
    Ok(())
}

#[test]
fn fused_and_standard_training_with_dropout_agree() -> Result<(), EngineError> {
    let (mut fused, mut standard) =
        (trainer(Kernels::Fused, 0.3, &all(), SGD)?, trainer(Kernels::Standard, 0.3, &all(), SGD)?);
    let mut losses = Vec::new();
    for key in 0..4 {
        fused.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(key))?;
        standard.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(key))?;
        let (expected, found) =
            (update(&mut fused, 0.0)?.loss(), update(&mut standard, 0.0)?.loss());
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        losses.push(expected);
    }
    // The weights stood still, so it was the masks that made the losses differ.
    losses.dedup();
    assert!(losses.len() > 1, "{losses:?}");
    for key in 0..4 {
        for trainer in [&mut fused, &mut standard] {
            trainer.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(key))?;
            trainer.update(&[0.1])?;
        }
    }
    assert_near(&standard, &fused, 1e-5)
}

/// Returns the operators of the graph that is run when these parameters are trained, or of the
/// forward graph for none.
fn operators(kernels: Kernels, trainable: &[&str]) -> Result<Vec<String>, EngineError> {
    let (mut graph, loss) = network(kernels, 0.3)?;
    let vars: Vec<_> = graph
        .parameters()
        .filter(|(name, _)| trainable.contains(name))
        .map(|(_, var)| var)
        .collect();
    graph.output("loss", loss);
    for (index, gradient) in gradients(&mut graph, loss, &vars)?.into_iter().enumerate() {
        graph.output(
            &format!("gradient.{index}"),
            gradient.expect("the loss depends on every parameter"),
        );
    }
    Ok(onnx::operators(&onnx::write(&graph)))
}

#[test]
fn nothing_is_computed_below_the_lowest_trained_parameter() -> Result<(), EngineError> {
    let count = |operators: &[String], name: &str| {
        operators.iter().filter(|operator| *operator == name).count()
    };
    for kernels in [Kernels::Fused, Kernels::Standard] {
        let forward = operators(kernels, &[])?;
        let head = operators(kernels, &["w3", "b3"])?;
        let norm = operators(kernels, &["gamma", "w3", "b3"])?;
        let everything = operators(kernels, &all())?;
        // One product for the gradient of each weight, and one for that of each hidden state.
        let products: Vec<usize> = [&forward, &head, &norm, &everything]
            .iter()
            .map(|operators| count(operators, "Gemm") + count(operators, "WeightGrad"))
            .collect();
        assert_eq!(products, [3, 4, 5, 8], "{kernels:?}");
        if kernels == Kernels::Fused {
            let backward = [&head, &norm, &everything].map(|operators| {
                (count(operators, "AddNormGrad"), count(operators, "BiasGeluGrad"))
            });
            assert_eq!(backward, [(0, 0), (1, 0), (1, 1)]);
        }
        assert!(
            forward.len() < head.len() && head.len() < norm.len() && norm.len() < everything.len()
        );
    }
    Ok(())
}

#[test]
fn trained_weights_of_the_same_rows_share_a_product() -> Result<(), EngineError> {
    let outputs = |trained: &[&str]| -> Result<Vec<usize>, EngineError> {
        let mut g = Graph::new(Kernels::Fused);
        let x = g.input("x", TensorFact::f32(vec![Dim::Named("T"), Dim::Fixed(4)]));
        let names = ["q", "k", "v", "w"];
        let weights = names.map(|name| g.parameter(name, &[4, 4], Marks::default()));
        let mut sum = g.linear(x, weights[0], None)?;
        for weight in &weights[1..] {
            let other = g.linear(x, *weight, None)?;
            let product = g.mul(sum, other)?;
            sum = g.tanh(product)?;
        }
        let loss = g.reduce_sum(sum, &[], false)?;
        let wrt: Vec<Var> = names
            .iter()
            .zip(weights)
            .filter(|(name, _)| trained.contains(name))
            .map(|(_, var)| var)
            .collect();
        let found = gradients(&mut g, loss, &wrt)?;
        assert!(found.iter().all(Option::is_some));
        for (index, gradient) in found.iter().flatten().enumerate() {
            g.output(&index.to_string(), *gradient);
        }
        let model = ModelProto::decode(&onnx::write(&g)[..]).expect("what was written can be read");
        let nodes = model.graph.into_iter().flat_map(|graph| graph.node);
        Ok(nodes
            .filter(|node| node.op_type == "WeightGrad")
            .map(|node| node.output.len())
            .collect())
    };
    assert_eq!(outputs(&["q"])?, [1]);
    assert_eq!(outputs(&["q", "v"])?, [2], "a frozen weight has no gradient");
    assert_eq!(outputs(&["q", "k", "v"])?, [3]);
    assert_eq!(outputs(&["q", "k", "v", "w"])?, [3, 1]);
    Ok(())
}

#[test]
fn frozen_parameters_stay_and_the_loss_is_the_same() -> Result<(), EngineError> {
    for kernels in [Kernels::Fused, Kernels::Standard] {
        let (mut full, mut head) =
            (trainer(kernels, 0.3, &all(), ADAMW)?, trainer(kernels, 0.3, &["w3", "b3"], ADAMW)?);
        let before = weights(&head)?;
        full.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(5))?;
        head.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(5))?;
        assert_eq!(full.gradient(6)?, head.gradient(0)?);
        assert_eq!(update(&mut full, 0.1)?.losses, update(&mut head, 0.1)?.losses);
        for (name, after) in weights(&head)? {
            assert_eq!(after != before[&name], ["w3", "b3"].contains(&name.as_str()), "{name}");
        }
    }
    Ok(())
}

/// Checks that a run which is stopped and taken up again ends bitwise where the one that was not
/// stopped ends.
fn resumes(kernels: Kernels, rule: impl Update + Copy + 'static) -> Result<(), EngineError> {
    let step = |trainer: &mut SessionTrainer, key: i64| {
        trainer.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(key))?;
        update(trainer, 0.05)
    };
    let mut through = trainer(kernels, 0.1, &all(), rule)?;
    let mut resumed = trainer(kernels, 0.1, &all(), rule)?;
    for key in 0..3 {
        step(&mut through, key)?;
    }
    let saved = through.state()?;
    resumed.restore(runtime(), &saved, through.steps())?;
    for key in 3..6 {
        assert_eq!(step(&mut through, key)?, step(&mut resumed, key)?);
    }
    assert_eq!(weights(&through)?, weights(&resumed)?);
    Ok(())
}

#[test]
fn a_resumed_training_is_the_same_training() -> Result<(), EngineError> {
    resumes(Kernels::Fused, ADAMW)?;
    resumes(Kernels::Standard, ADAMW)?;
    resumes(Kernels::Fused, SGD)
}
