//! What can be known of a `train` stage before it runs.

use super::artifacts;
use super::backend::misfit;
use super::config::{Backend, Budget, ClassWeights, Freeze, Monitor, Optimizer, Schedule, Train};
use crate::engine::{Device, Precision};
use crate::stages::contract::error::CheckError;
use crate::stages::contract::stage::DataFact;

/// Returns every problem of the configuration.
pub fn check(train: &Train, data: &DataFact) -> Vec<CheckError> {
    let mut problems = Problems(Vec::new());
    problems.at_least_one("epochs", u64::from(train.epochs.unwrap_or(1)));
    problems.at_least_one("stop_after", u64::from(train.stop_after.unwrap_or(1)));
    if let Some(Budget::Steps(steps)) = train.budget {
        problems.at_least_one("budget.steps", steps);
        if train.epochs.is_some() {
            problems.add(
                "budget",
                "`budget` and `epochs` both set the length of the training".to_owned(),
                "leave one of them out",
            );
        }
        if train.early_stopping.is_some() {
            problems.add(
                "early_stopping",
                "`budget` gives every run the same steps, but `early_stopping` removes some of them"
                    .to_owned(),
                "leave one of them out; `best_checkpoint` keeps the best weights without changing \
                 the steps",
            );
        }
    }
    problems.at_least_one("batch_size", train.batch_size as u64);
    problems.at_least_one("accumulation", u64::from(train.accumulation));
    if train.device == Some(Device::Auto) {
        problems.add(
            "device",
            "`auto` does not fix the device that the results come from".to_owned(),
            "use `--device auto` on the command line, or `cpu` or `cuda` here",
        );
    }
    if train.device == Some(Device::Cpu) && train.precision == Precision::Tf32 {
        problems.add(
            "precision",
            "`tf32` needs a GPU, but this training runs on the CPU".to_owned(),
            "use `fp32`, or `device: cuda`",
        );
    }
    problems.at_least_one("max_tokens_per_step", train.max_tokens_per_step.unwrap_or(1) as u64);
    if train.max_length < 3 {
        problems.add(
            "max_length",
            format!("expected at least 3 tokens, found {}", train.max_length),
            "two of them are the special tokens around a text",
        );
    }
    if let Some(rate) = train.dropout {
        problems.share("dropout", f64::from(rate), false);
    }
    if let Some(clip) = train.gradient_clip {
        problems.positive("gradient_clip", f64::from(clip));
    }
    optimizer(&train.optimizer, &mut problems);
    schedule(&train.schedule, data, &mut problems);
    problems.share("loss.label_smoothing", f64::from(train.loss.label_smoothing), false);
    if let Some(ClassWeights::Given(weights)) = &train.loss.class_weights {
        for (label, &weight) in weights {
            if !(weight.is_finite() && weight >= 0.0) {
                problems.add(
                    &format!("loss.class_weights.given.{label}"),
                    format!("expected a weight of 0 or more, found {weight}"),
                    "",
                );
            }
        }
    }
    if let Some(Freeze::Names(patterns)) = &train.freeze
        && patterns.is_empty()
    {
        problems.add(
            "freeze.names",
            "no pattern is given".to_owned(),
            "leave out `freeze` to train everything",
        );
    }
    if train.early_stopping.is_some() {
        problems.wants_dev("early_stopping", data);
    }
    if train.best_checkpoint.is_some() {
        problems.wants_dev("best_checkpoint", data);
    }
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
        && let Some(misfit) = misfit(train)
    {
        problems.add(
            misfit.field,
            format!("{} (`backend: training_api`)", misfit.reason),
            misfit.remedy,
        );
    }
    problems.0
}

fn optimizer(optimizer: &Optimizer, problems: &mut Problems) {
    match optimizer {
        Optimizer::Adamw(settings) => {
            problems.positive("optimizer.adamw.learning_rate", settings.learning_rate);
            if let Some(rate) = settings.head_learning_rate {
                problems.positive("optimizer.adamw.head_learning_rate", rate);
            }
            problems.not_negative("optimizer.adamw.weight_decay", settings.weight_decay);
            for (index, beta) in settings.betas.into_iter().enumerate() {
                problems.share(&format!("optimizer.adamw.betas.{index}"), beta, false);
            }
            problems.positive("optimizer.adamw.epsilon", settings.epsilon);
        }
        Optimizer::Sgd(settings) => {
            problems.positive("optimizer.sgd.learning_rate", settings.learning_rate);
            if let Some(rate) = settings.head_learning_rate {
                problems.positive("optimizer.sgd.head_learning_rate", rate);
            }
            problems.share("optimizer.sgd.momentum", settings.momentum, false);
            problems.not_negative("optimizer.sgd.weight_decay", settings.weight_decay);
        }
    }
}

fn schedule(schedule: &Schedule, data: &DataFact, problems: &mut Problems) {
    match schedule {
        Schedule::None => {}
        Schedule::Constant(settings) => {
            problems.share("schedule.constant.warmup", settings.warmup, true)
        }
        Schedule::Linear(settings) => {
            problems.share("schedule.linear.warmup", settings.warmup, true)
        }
        Schedule::Cosine(settings) => {
            problems.share("schedule.cosine.warmup", settings.warmup, true)
        }
        Schedule::Polynomial(settings) => {
            problems.share("schedule.polynomial.warmup", settings.warmup, true);
            problems.positive("schedule.polynomial.power", settings.power);
            problems.share("schedule.polynomial.end", settings.end, true);
        }
        Schedule::ReduceOnPlateau(settings) => {
            if !(settings.factor > 0.0 && settings.factor < 1.0) {
                problems.add(
                    "schedule.reduce_on_plateau.factor",
                    format!("expected more than 0 and less than 1, found {}", settings.factor),
                    "",
                );
            }
            problems.not_negative("schedule.reduce_on_plateau.threshold", settings.threshold);
            problems.not_negative(
                "schedule.reduce_on_plateau.min_learning_rate",
                settings.min_learning_rate,
            );
            problems.not_negative("schedule.reduce_on_plateau.epsilon", settings.epsilon);
            if matches!(
                settings.monitor,
                Monitor::DevLoss | Monitor::DevAccuracy | Monitor::DevMacroF1
            ) {
                problems.wants_dev("schedule.reduce_on_plateau.monitor", data);
            }
        }
    }
}

struct Problems(Vec<CheckError>);

impl Problems {
    fn add(&mut self, field: &str, message: String, hint: &str) {
        let problem = CheckError::new(field, message);
        self.0.push(if hint.is_empty() { problem } else { problem.hint(hint) });
    }

    fn at_least_one(&mut self, field: &str, value: u64) {
        if value == 0 {
            self.add(field, "expected at least 1, found 0".to_owned(), "");
        }
    }

    fn positive(&mut self, field: &str, value: f64) {
        if !(value.is_finite() && value > 0.0) {
            self.add(field, format!("expected a number above 0, found {value}"), "");
        }
    }

    fn not_negative(&mut self, field: &str, value: f64) {
        if !(value.is_finite() && value >= 0.0) {
            self.add(field, format!("expected 0 or more, found {value}"), "");
        }
    }

    fn share(&mut self, field: &str, value: f64, one_allowed: bool) {
        let (inside, upper) = if one_allowed {
            ((0.0..=1.0).contains(&value), "to 1")
        } else {
            ((0.0..1.0).contains(&value), "to below 1")
        };
        if !inside {
            self.add(field, format!("expected a share from 0 {upper}, found {value}"), "");
        }
    }

    fn wants_dev(&mut self, field: &str, data: &DataFact) {
        if !data.has_dev {
            self.add(
                field,
                "the data set has no dev split, and test data must not drive any choice".to_owned(),
                "set a dev split in the `load` stage: `split: { test: 0.3, dev: 0.1 }`",
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
            "model": { "pretrained": "x" },
            "epochs": 0,
            "max_length": 2,
            "dropout": 1.0,
            "gradient_clip": -1.0,
            "optimizer": { "adamw": { "learning_rate": 0.0, "betas": [0.9, 1.5] } },
            "schedule": { "reduce_on_plateau": { "monitor": "dev_loss", "factor": 2.0 } },
            "early_stopping": {},
        }))?;
        let data =
            DataFact { task: TaskKind::Classes, has_dev: false, has_test: true, augmented: false };
        let fields: Vec<String> =
            check(&train, &data).into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "epochs",
                "max_length",
                "dropout",
                "gradient_clip",
                "optimizer.adamw.learning_rate",
                "optimizer.adamw.betas.1",
                "schedule.reduce_on_plateau.factor",
                "schedule.reduce_on_plateau.monitor",
                "early_stopping"
            ]
        );
        Ok(())
    }
}
