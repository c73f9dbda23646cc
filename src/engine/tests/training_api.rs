//! The training API beside sessions: the same curve, the same weights, resuming. Skipped where the
//! library does not have the API.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use super::network::{ADAMW, EXAMPLES, all, feeds, network_with_logits, optimizer, parameters};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::session::SessionTrainer;
use crate::engine::backend::trainer::{Part, Trainer};
use crate::engine::backend::training_api::artifacts::{Artifacts, Clipping, LOGITS, LOSS};
use crate::engine::backend::training_api::trainer::ApiTrainer;
use crate::engine::graph::graph::Kernels;
use crate::engine::runtime::device::Device;
use crate::engine::samples::harness::runtime;

/// Says whether the loaded library has the training API; the tests that need it are skipped aloud.
fn has_api() -> bool {
    let has = runtime().identity.has_training_api;
    if !has {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the loaded ONNX Runtime has no training API; set ORT_DYLIB_PATH to a \
             library that has it"
        );
    }
    has
}

fn artifacts(
    kernels: Kernels,
    rate: f32,
    trainable: &[&str],
    clipping: Clipping,
) -> Result<Artifacts, EngineError> {
    let (training, loss, _) = network_with_logits(kernels, rate)?;
    let (mut evaluation, eval_loss, logits) = network_with_logits(kernels, 0.0)?;
    evaluation.output(LOSS, eval_loss);
    evaluation.output(LOGITS, logits);
    let weights = parameters()?;
    let names: Vec<String> = trainable.iter().map(|name| (*name).to_owned()).collect();
    let values: BTreeMap<String, ArrayD<f32>> = all()
        .into_iter()
        .map(|name| Ok((name.to_owned(), weights.copy(name)?)))
        .collect::<Result<_, EngineError>>()?;
    let optimizer = optimizer(ADAMW, trainable);
    Artifacts::new(training, loss, &evaluation, &names, &optimizer, clipping, |name| {
        values.get(name)
    })
}

fn api(kernels: Kernels, rate: f32, trainable: &[&str]) -> Result<ApiTrainer, EngineError> {
    let clipping = Clipping::InTraining { parts: 1 };
    ApiTrainer::new(runtime(), Device::Cpu, artifacts(kernels, rate, trainable, clipping)?)
}

fn sessions(
    kernels: Kernels,
    rate: f32,
    trainable: &[&str],
) -> Result<SessionTrainer, EngineError> {
    let (mut evaluation, _, logits) = network_with_logits(kernels, 0.0)?;
    evaluation.output(LOGITS, logits);
    Ok(super::network::trainer(kernels, rate, trainable, ADAMW)?.with_evaluation(evaluation))
}

fn step(trainer: &mut dyn Trainer, key: i64, rate: f64) -> Result<f32, EngineError> {
    trainer.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(key))?;
    trainer.update(&[rate])?;
    Ok(trainer.outcomes()?.pop().ok_or(EngineError::NoOutput)?.loss())
}

fn assert_near(found: &dyn Trainer, expected: &dyn Trainer) -> Result<(), EngineError> {
    let expected = expected.trained()?;
    for (name, found) in found.trained()? {
        for (found, expected) in found.iter().zip(&expected[&name]) {
            assert!((found - expected).abs() < 1e-4, "{name}: {found} {expected}");
        }
    }
    Ok(())
}

/// Fifty steps with a falling learning rate, both kinds of kernels, all parameters and some.
#[test]
fn both_backends_train_the_same() -> Result<(), EngineError> {
    if !has_api() {
        return Ok(());
    }
    for (kernels, rate, trainable) in [
        (Kernels::Standard, 0.0, all()),
        (Kernels::Fused, 0.0, all()),
        (Kernels::Fused, 0.3, all()),
        (Kernels::Standard, 0.3, all()),
        (Kernels::Fused, 0.0, vec!["gamma", "beta", "w3", "b3"]),
    ] {
        let mut expected = sessions(kernels, rate, &trainable)?;
        let mut found = api(kernels, rate, &trainable)?;
        for key in 0..50 {
            let learning_rate = 1e-2 * (1.0 - key as f64 / 50.0);
            let losses =
                (step(&mut found, key, learning_rate)?, step(&mut expected, key, learning_rate)?);
            assert!(
                ((losses.0 - losses.1) / losses.1).abs() < 1e-5,
                "{kernels:?}, dropout {rate}, step {key}: {losses:?}"
            );
        }
        assert_near(&found, &expected)?;
        let (found, expected) =
            (found.logits(runtime(), feeds(0..2))?, expected.logits(runtime(), feeds(0..2))?);
        assert_eq!(found.shape(), [2, 3]);
        assert!(
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4),
            "{found} {expected}"
        );
    }
    Ok(())
}

#[test]
fn parts_of_a_step_add_up() -> Result<(), EngineError> {
    if !has_api() {
        return Ok(());
    }
    let open = |clipping| {
        ApiTrainer::new(runtime(), Device::Cpu, artifacts(Kernels::Fused, 0.0, &all(), clipping)?)
    };
    for parts in [Clipping::InTraining { parts: 2 }, Clipping::InOptimizer] {
        let (mut whole, mut parted) = (open(Clipping::InTraining { parts: 1 })?, open(parts)?);
        for key in 0..5 {
            whole.accumulate(runtime(), feeds(0..EXAMPLES), Part::whole(key))?;
            parted.accumulate(runtime(), feeds(0..2), Part { dropout_key: key, last: false })?;
            parted.accumulate(
                runtime(),
                feeds(2..EXAMPLES),
                Part { dropout_key: key, last: true },
            )?;
            whole.update(&[1e-2])?;
            parted.update(&[1e-2])?;
            let outcome =
                |trainer: &mut ApiTrainer| trainer.outcomes()?.pop().ok_or(EngineError::NoOutput);
            let (whole, parted) = (outcome(&mut whole)?, outcome(&mut parted)?);
            assert!((whole.loss() - parted.loss()).abs() < 1e-5, "{whole:?} {parted:?}");
            let norm = whole.gradient_norm.unwrap_or(f32::NAN);
            assert!(norm > 0.0);
            if parts != Clipping::InOptimizer {
                assert!(
                    parted.gradient_norm.is_some_and(|found| (found - norm).abs() < 1e-4 * norm),
                    "{whole:?} {parted:?}"
                );
            }
        }
        assert_near(&parted, &whole)?;
    }
    Ok(())
}

/// Stopped at step 25 and taken up again from what was saved: the same curve, bit for bit.
#[test]
fn a_saved_state_goes_on_as_if_never_stopped() -> Result<(), EngineError> {
    if !has_api() {
        return Ok(());
    }
    let trainable: Vec<&str> = all().into_iter().filter(|name| *name != "b1").collect();
    let mut through = api(Kernels::Fused, 0.1, &trainable)?;
    let mut resumed = api(Kernels::Fused, 0.1, &trainable)?;
    for key in 0..25 {
        step(&mut through, key, 1e-2)?;
    }
    assert_eq!(through.checkpoint()?.optimizer.map(|optimizer| optimizer.steps), Some(25));
    let state = through.state()?;
    assert_eq!(state.len(), 3 * trainable.len());
    resumed.restore(runtime(), &state, 25)?;
    for key in 25..50 {
        assert_eq!(step(&mut through, key, 1e-2)?, step(&mut resumed, key, 1e-2)?, "step {key}");
    }
    assert_eq!(through.trained()?, resumed.trained()?);
    Ok(())
}

/// A folder of artifacts reads back as it was, and each file that is missing or damaged is an error
/// that names it.
#[test]
fn artifacts_come_back_or_say_what_is_wrong() -> Result<(), EngineError> {
    let folder = tempfile::tempdir()?;
    let written = artifacts(Kernels::Standard, 0.0, &["w3", "b3"], Clipping::InOptimizer)?;
    written.write(folder.path())?;
    let read = Artifacts::read(folder.path())?;
    assert_eq!((&read.training, &read.evaluation), (&written.training, &written.evaluation));
    assert_eq!(read.checkpoint, written.checkpoint);
    assert_eq!(read.inputs()?, ["x", "targets"]);
    assert_eq!(read.logits().as_deref(), Some(LOGITS));

    let message = |result: Result<Artifacts, EngineError>| {
        result.map_or_else(|e| e.to_string(), |_| "none".into())
    };
    let mut lacking = written.clone();
    lacking.checkpoint.trained.remove(0);
    lacking.write(folder.path())?;
    assert_eq!(
        message(Artifacts::read(folder.path())),
        "the training artifacts cannot be used: `training_model.onnx` needs the parameter `w3`, \
         which the checkpoint does not have"
    );
    lacking = written.clone();
    lacking.checkpoint.frozen.remove(0);
    lacking.write(folder.path())?;
    assert_eq!(
        message(Artifacts::read(folder.path())),
        "the training artifacts cannot be used: `training_model.onnx` needs the parameter `w1`, \
         which the checkpoint does not have"
    );
    written.write(folder.path())?;
    let checkpoint = folder.path().join("checkpoint");
    let bytes = fs_err::read(&checkpoint)?;
    fs_err::write(&checkpoint, &bytes[..bytes.len() / 2])?;
    assert!(
        message(Artifacts::read(folder.path()))
            .starts_with("the checkpoint cannot be used: it is damaged")
    );
    written.write(folder.path())?;
    fs_err::write(folder.path().join("training_model.onnx"), b"not a model")?;
    assert!(
        message(Artifacts::read(folder.path()))
            .contains("`training_model.onnx` is not an ONNX model")
    );
    fs_err::remove_file(folder.path().join("eval_model.onnx"))?;
    assert!(message(Artifacts::read(folder.path())).ends_with("eval_model.onnx` is missing"));
    Ok(())
}

#[test]
fn a_library_without_the_api_is_refused() -> Result<(), EngineError> {
    if runtime().identity.has_training_api {
        return Ok(());
    }
    let refused = api(Kernels::Standard, 0.0, &all()).err();
    assert!(matches!(refused, Some(EngineError::NoTrainingApi { .. })), "{refused:?}");
    Ok(())
}
