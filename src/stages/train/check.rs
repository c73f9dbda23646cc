//! What can be known of a `train` stage before it runs.

use super::artifacts;
use super::backend::misfit;
use super::config::{Budget, Train};
use super::freeze::Freeze;
use super::label_texts::LabelTexts;
use super::objective::Mixup;
use super::problems::Problems;
use super::settings::{Backend, Span};
use crate::engine::{Device, Precision};
use crate::stages::contract::error::CheckError;
use crate::stages::contract::stage::DataFact;

/// Returns every problem of the configuration.
pub fn check(train: &Train, data: &DataFact) -> Vec<CheckError> {
    let mut problems = Problems::default();
    train.model.check(&mut problems);
    let learner = train.method.learner();
    let given = train.given();
    for (field, reason) in learner.refuses().into_iter().filter(|(name, _)| given.contains(name)) {
        let message = format!("`method: {}` has no use for `{field}`: {reason}", learner.name());
        problems.add(field, message, "leave it out");
    }
    learner.check(&format!("method.{}", learner.name()), data, &mut problems);
    let least = learner.least_batch();
    if let Some(size) = train.batch_size.filter(|size| *size > 0 && *size < least) {
        let message = format!("expected at least {least}, found {size}");
        problems.add("batch_size", message, "a batch has two texts of two classes at least");
    }
    if let Some(texts) = &train.label_texts {
        texts.check(&mut problems);
    }
    length((train.epochs, train.stop_after, train.budget), train.span(), &mut problems);
    if train.budget.is_some() && train.early_stopping.is_some() {
        problems.add(
            "early_stopping",
            "`budget` gives every run the same steps, but `early_stopping` removes some of them"
                .to_owned(),
            "leave one of them out; `best_checkpoint` keeps the best weights without changing the \
             steps",
        );
    }
    problems.at_least_one("batch_size", train.batch_size.unwrap_or(1) as u64);
    problems.at_least_one("accumulation", u64::from(train.accumulation));
    device(train.device, train.precision, &mut problems);
    problems.at_least_one("max_tokens_per_step", train.max_tokens_per_step.unwrap_or(1) as u64);
    max_length(train.max_length, &mut problems);
    if let (Some(windows), Some(length)) = (train.windows, train.max_length) {
        problems.0.extend(CheckError::of_windows("windows.stride", windows, length));
    }
    if let Some(rate) = train.dropout {
        problems.share("dropout", f64::from(rate), false);
    }
    if let Some(clip) = train.gradient_clip {
        problems.positive("gradient_clip", f64::from(clip));
    }
    train.optimizer.check(&mut problems);
    if let Some(schedule) = &train.schedule {
        schedule.check(data, &mut problems);
    }
    train.loss.check(&mut problems);
    if let Some(freeze) = &train.freeze {
        freeze.check(&mut problems);
    }
    if let Some(adapters) = &train.adapters {
        adapters.check(train.freeze.as_ref(), &mut problems);
    }
    if let Some(early_stopping) = &train.early_stopping {
        early_stopping.check(data, &mut problems);
    }
    if train.best_checkpoint.is_some() {
        problems.wants_dev("best_checkpoint", data);
    }
    steadied(train, &mut problems);
    if train.artifacts.is_some() {
        problems.0.extend(artifacts::decided(train));
        if train.backend == Backend::Session {
            problems.add(
                "backend",
                "artifacts are trained with the training API".to_owned(),
                "leave out `backend` or `artifacts`",
            );
        }
    } else if train.backend == Backend::TrainingApi
        && let Some(misfit) = misfit(&train.settings())
    {
        problems.add(
            misfit.field,
            format!("{} (`backend: training_api`)", misfit.reason),
            misfit.remedy,
        );
    }
    problems.0
}

/// Reports what is wrong with what steadies a training.
fn steadied(train: &Train, problems: &mut Problems) {
    if train.freeze == Some(Freeze::Encoder) && train.optimizer.has_layer_decay() {
        problems.add(
            "optimizer.adamw.layer_decay",
            "`freeze: encoder` trains the head alone, which is no layer".to_owned(),
            "leave one of them out",
        );
    }
    if train.loss.r_drop.is_some() && train.dropout == Some(0.0) {
        problems.add(
            "loss.r_drop",
            "both predictions of a text are the same without dropout".to_owned(),
            "leave one of them out; 0.1 is usual for `dropout`",
        );
    }
    if train.method.learner().compares_passes() && train.dropout == Some(0.0) {
        problems.add(
            "dropout",
            "the method compares passes of a text, which are all the same without dropout"
                .to_owned(),
            "leave it out, or take `0.1`",
        );
    }
    let layers = train.loss.mixup.as_ref().map_or(&[][..], Mixup::layers);
    if !layers.is_empty() && train.windows.is_some() {
        problems.add(
            "windows",
            "states are mixed of whole texts, not of windows (`loss.mixup.at.layers`)".to_owned(),
            "leave one of them out, or mix `vectors`",
        );
    }
    if let Some(count) = train.reinitialise {
        reinitialise(train, count, problems);
    }
    if let Some(regularise) = &train.regularise {
        regularise.check(train.freeze.as_ref(), train.adapters.as_ref(), problems);
    }
    if let Some(average) = &train.average {
        let chosen = [
            ("early_stopping", train.early_stopping.is_some()),
            ("best_checkpoint", train.best_checkpoint.is_some()),
        ];
        average.check(&chosen, problems);
    }
}

/// Reports what does not go with layers that begin anew.
fn reinitialise(train: &Train, count: usize, problems: &mut Problems) {
    problems.at_least_one("reinitialise", count as u64);
    let texts = train.label_texts.as_ref().is_some_and(|texts| *texts != LabelTexts::None);
    for (field, given) in [
        ("freeze", train.freeze == Some(Freeze::Encoder)),
        ("adapters", train.adapters.is_some()),
        ("label_texts", texts),
    ] {
        if given {
            problems.add(
                field,
                "layers that `reinitialise` draws mean nothing before they are trained whole"
                    .to_owned(),
                "leave one of them out",
            );
        }
    }
}

/// Reports a device that does not say where training runs, and a precision that it does not have.
pub(in crate::stages) fn device(
    device: Option<Device>,
    precision: Precision,
    problems: &mut Problems,
) {
    if device == Some(Device::Auto) {
        problems.add(
            "device",
            "`auto` does not fix the device that the results come from".to_owned(),
            "use `--device auto` on the command line, or `cpu` or `cuda` here",
        );
    }
    if device == Some(Device::Cpu) && precision == Precision::Tf32 {
        problems.add(
            "precision",
            "`tf32` needs a GPU, but this training runs on the CPU".to_owned(),
            "use `fp32`, or `device: cuda`",
        );
    }
}

/// Reports a length that leaves no room for a text.
pub(in crate::stages) fn max_length(length: Option<usize>, problems: &mut Problems) {
    if let Some(length) = length.filter(|length| *length < 3) {
        problems.add(
            "max_length",
            format!("expected at least 3 tokens, found {length}"),
            "two of them are the special tokens around a text",
        );
    }
}

/// Reports what is wrong with how long training goes on.
pub(in crate::stages) fn length(
    (epochs, stop_after, budget): (Option<u32>, Option<u32>, Option<Budget>),
    span: Span,
    problems: &mut Problems,
) {
    problems.at_least_one("epochs", u64::from(epochs.unwrap_or(1)));
    problems.at_least_one("stop_after", u64::from(stop_after.unwrap_or(1)));
    if let (Some(stop_after), Some(epochs)) = (stop_after, span.epochs())
        && stop_after > epochs
    {
        problems.add(
            "stop_after",
            format!("the training ends after {epochs} epochs, so it never reaches {stop_after}"),
            "lower `stop_after`, leave it out, or raise `epochs`",
        );
    }
    if let Some(Budget::Steps(steps)) = budget {
        problems.at_least_one("budget.steps", steps);
        if epochs.is_some() {
            problems.add(
                "budget",
                "`budget` and `epochs` both set the length of the training".to_owned(),
                "leave one of them out",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TaskKind;

    #[test]
    fn every_bad_number_is_found_at_its_place() -> Result<(), Box<dyn std::error::Error>> {
        let train: Train = serde_json::from_value(serde_json::json!({
            "data": "data",
            "model": { "pretrained": "pip:--index-url=x" },
            "epochs": 0,
            "max_length": 2,
            "dropout": 1.0,
            "gradient_clip": -1.0,
            "optimizer": { "adamw": { "learning_rate": 0.0, "betas": [0.9, 1.5] } },
            "schedule": {
                "reduce_on_plateau": { "monitor": "dev_loss", "mode": "max", "factor": 2.0 },
            },
            "early_stopping": { "min_delta": -0.5 },
        }))?;
        let data = DataFact {
            task: TaskKind::Classes,
            has_dev: false,
            has_test: true,
            augmented: false,
            unlabelled: false,
        };
        let fields: Vec<String> =
            check(&train, &data).into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "model.pretrained",
                "epochs",
                "max_length",
                "dropout",
                "gradient_clip",
                "optimizer.adamw.learning_rate",
                "optimizer.adamw.betas.1",
                "schedule.reduce_on_plateau.factor",
                "schedule.reduce_on_plateau.mode",
                "schedule.reduce_on_plateau.monitor",
                "early_stopping",
                "early_stopping.min_delta"
            ]
        );
        Ok(())
    }

    #[test]
    fn a_pause_beyond_the_end_is_refused() -> Result<(), serde_json::Error> {
        let data = DataFact {
            task: TaskKind::Classes,
            has_dev: true,
            has_test: true,
            augmented: false,
            unlabelled: false,
        };
        let found = |length: serde_json::Value| {
            let mut train = serde_json::json!({ "data": "data", "model": { "pretrained": "x" } });
            if let (Some(train), Some(length)) = (train.as_object_mut(), length.as_object()) {
                train.extend(length.clone());
            }
            let train: Train = serde_json::from_value(train)?;
            Ok::<_, serde_json::Error>(check(&train, &data))
        };
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text);
        let beyond = found(json(r#"{ "epochs": 2, "stop_after": 3 }"#)?)?;
        assert_eq!(beyond.len(), 1);
        assert_eq!(beyond[0].field, "stop_after");
        assert_eq!(beyond[0].message, "the training ends after 2 epochs, so it never reaches 3");
        assert_eq!(found(json(r#"{ "stop_after": 11 }"#)?)?.len(), 1, "there are 10 by default");
        for sound in [
            r#"{ "epochs": 2, "stop_after": 2 }"#,
            r#"{ "stop_after": 10 }"#,
            r#"{ "budget": { "steps": 5 }, "stop_after": 30 }"#,
        ] {
            assert_eq!(found(json(sound)?)?, [], "{sound}");
        }
        Ok(())
    }
}
