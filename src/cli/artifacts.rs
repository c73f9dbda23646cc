//! `pipe artifacts`: writes the artifacts from which ONNX Runtime's training API trains.

use super::args::{ArtifactsArgs, KeyArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::open::{self, Manner};
use super::printer::Printer;
use super::progress::{Preparation, RunProgress};
use super::run::catch_interrupts;
use super::seeds::Seeds;
use crate::runner::record::provenance::Status;
use crate::runner::{Phase, RunError, StageFailure};
use crate::stages::train::artifacts::write_beside;
use crate::stages::train::backend::misfit;
use crate::stages::{Inputs, StageConfig, hidden};

/// Writes a `train` stage's recipe as training artifacts. Its training data are computed first
/// unless cached, because the number of classes and their weights follow from them.
pub fn artifacts(args: &ArtifactsArgs, printer: &Printer) -> Result<Exit, Failure> {
    let (spec, plan) = open::file(&args.file)?;
    let stage = open::stage(&plan, &args.stage)?;
    let Some(StageConfig::Train(train)) = spec.stages.get(&stage) else {
        let hint = "name a `train` stage".to_owned();
        return Err(Failure::usage(format!("`{stage}` is not a `train` stage"), Some(hint)));
    };
    if train.artifacts.is_some() {
        let hint = "copy the folder that is set as its `artifacts`".to_owned();
        return Err(Failure::usage(
            format!("`{stage}` is already trained from artifacts"),
            Some(hint),
        ));
    }
    if train.accumulation != 1 {
        let message = format!(
            "`{stage}` averages gradients over {} batches, but artifacts sum them",
            train.accumulation
        );
        let hint = format!(
            "`-S stages.{stage}.train.accumulation=1` leaves accumulation to the program that \
             trains"
        );
        return Err(Failure::usage(message, Some(hint)));
    }
    if let Some(from) = &train.model.from {
        let message = format!("`{stage}` begins with the encoder of the stage `{from}`");
        let hint = "artifacts begin with a folder: copy the stage's output, and name it as \
                    `pretrained`";
        return Err(Failure::usage(message, Some(hint.to_owned())));
    }
    let method = train.method.learner().name();
    if method != "fine_tune" {
        let message =
            format!("`{stage}` learns by `{method}`, and artifacts hold fine-tuning alone");
        let hint = "name a stage with `method: { fine_tune: {} }`, which is the default";
        return Err(Failure::usage(message, Some(hint.to_owned())));
    }
    if let Some(misfit) = misfit(&train.settings()) {
        let message =
            format!("`{stage}` cannot be written for the training API: {}", misfit.reason);
        return Err(Failure::usage(message, Some(misfit.remedy.to_owned())));
    }
    let data_plan = plan.until(&train.data).unwrap_or(plan);
    let manner = Manner { workers: 1, install: true, ..Manner::default() };
    let seed = args.seed.unwrap_or(spec.seed);
    let keys = KeyArgs { seeds: Some(Seeds(vec![seed])), ..KeyArgs::default() };
    let prepared = open::keys(&spec, &data_plan, &keys, manner, printer)?;
    let interrupt = catch_interrupts(printer)?;
    let finished = prepared.execute(&RunProgress::new(printer), &interrupt)?;
    match finished.status {
        Status::Failed => return Err(Failure::Stages(finished.failures)),
        Status::Interrupted => return Ok(Exit::Interrupted),
        Status::Complete | Status::Running => {}
    }
    let mut inputs = Inputs::default();
    inputs.insert("data", prepared.output(&train.data, seed)?);
    let data = inputs.data("data");
    let preparation = Preparation::new(printer);
    let secrets = spec.stage_secrets(&stage, "train").values;
    let during = |error| {
        let error = hidden(error, &secrets);
        RunError::Stage(StageFailure { stage: args.stage.clone(), phase: Phase::During, error })
    };
    let artifacts = train.artifacts(&spec.folder, seed, data, &preparation).map_err(during)?;
    fs_err::create_dir_all(&args.output)?;
    artifacts.write(&args.output).map_err(|error| during(Box::new(error)))?;
    write_beside(train, &spec.folder, data.labels(), &args.output, &preparation).map_err(during)?;
    drop(preparation);
    let trained = artifacts.checkpoint.trained.len();
    printer.status(&format!(
        "wrote training_model.onnx, eval_model.onnx, optimizer_model.onnx and checkpoint to {}: \
         {trained} trained and {} frozen parameters, {} classes",
        args.output.display(),
        artifacts.checkpoint.frozen.len(),
        data.labels().len(),
    ));
    Ok(Exit::Success)
}
