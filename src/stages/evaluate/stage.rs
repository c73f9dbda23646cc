//! The configuration and the work of `evaluate`.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::report::Report;
use crate::data::{DataSet, Example, Prediction, Scored, Split, TaskKind};
use crate::metrics::{self, argmax};
use crate::stages::adapt::adapted::StoredEncoder;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::output::{Evaluation, Kind, Output, Summary, TrainedModel};
use crate::stages::contract::stage::{
    Ctx, DataFact, External, Fact, Find, Port, RuntimeNeeds, Stage, StageId,
};
use crate::stages::figure::Figures;
use crate::stages::inference::predict::probabilities;
use crate::stages::leaks::Leaks;
use crate::stages::train::Train;
use crate::stages::train::stand_in::Answer;

/// Predicts one split with a trained model and computes every metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The stage that provides the trained model.
    pub model: StageId,
    /// The stage that provides the data set.
    pub data: StageId,
    /// The split to predict. Default: test, unless `on` is `folds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// What is predicted: a split, or the train texts by folds, which needs neither dev nor test.
    #[serde(default, skip_serializing_if = "On::is_split")]
    pub on: On,
    /// The number of folds; fewer where a class has fewer texts. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// How to treat texts of the split that the model has learnt from elsewhere. What the `load`
    /// stage of `data` allows itself is allowed here too.
    #[serde(default, skip_serializing_if = "Leaks::is_error")]
    pub duplicates: Leaks,
    /// How the model learns, for `on: folds`.
    #[serde(skip)]
    pub recipe: Option<Box<Train>>,
}

/// The input with the encoder that a recipe begins with, where it is a stage's.
const ENCODER: &str = "encoder";

/// What is predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The texts of `split`, by the model.
    #[default]
    Split,
    /// Every train text, by a model of the same recipe that has learnt from the other folds alone.
    /// The stage `model` must be a `train` stage, and `data` its data.
    Folds,
}

impl On {
    fn is_split(&self) -> bool {
        *self == On::Split
    }
}

/// A mismatch between a model and a data set.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EvaluateError {
    #[error("the model's classes are {model}, the data's are {data}")]
    #[diagnostic(help("evaluate on data with the classes that the model was trained on"))]
    OtherClasses { model: String, data: String },
    #[error("`{model}` is no `train` stage, so that its recipe cannot be trained again")]
    #[diagnostic(help("name a `train` stage, or evaluate a split"))]
    NoRecipe { model: StageId },
    #[error("the {0} split is empty")]
    EmptySplit(Split),
    #[error("the model gives {found} for `{id}`; expected {expected} probabilities from 0 to 1")]
    #[diagnostic(help(
        "NaN or infinite weights cause this; check the loss curve, and try a lower learning rate"
    ))]
    Unusable { id: String, found: String, expected: usize },
}

impl Stage for Evaluate {
    fn code_version(&self) -> u32 {
        6
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        let mut inputs = vec![
            Port { field: "model", stage: &self.model, expects: Kind::MODEL, draw: 0 },
            Port { field: "data", stage: &self.data, expects: Kind::DATA, draw: 0 },
        ];
        let encoder = self.recipe.as_ref().and_then(|recipe| recipe.model.input());
        inputs.extend(encoder.map(|port| Port { field: ENCODER, ..port }));
        inputs
    }

    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        // The plan itself reports an input of the wrong kind.
        let Some(Fact::Data(data)) = inputs.get(1) else { return Ok(Fact::Of(Kind::SCORES)) };
        let missing = |split: Split| {
            CheckError::new("split", format!("`{}` has no {split} split", self.data))
                .hint(format!("set `split.{split}` or `files.{split}` in the `load` stage"))
        };
        if let Some(misfit) = data.misfit("data", &[TaskKind::Classes]) {
            return Err(vec![misfit]);
        }
        if self.on == On::Folds {
            return self.check_folds(data);
        }
        if self.folds.is_some() {
            let message = "only `on: folds` has folds".to_owned();
            return Err(vec![CheckError::new("folds", message).hint("add `on: folds`")]);
        }
        match self.split() {
            Split::Dev if !data.has_dev => Err(vec![missing(Split::Dev)]),
            Split::Test if !data.has_test => Err(vec![missing(Split::Test)]),
            Split::Train if data.augmented => Err(vec![
                CheckError::new(
                    "split",
                    format!("the train split of `{}` holds generated texts", self.data),
                )
                .hint("evaluate the train split of the stage before augmentation"),
            ]),
            _ => Ok(Fact::Of(Kind::SCORES)),
        }
    }

    /// The folds and the trainings depend on it.
    fn uses_seed(&self) -> bool {
        self.on == On::Folds
    }

    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        match (&self.recipe, self.on) {
            (Some(recipe), On::Folds) => recipe.externals(folder, fetch),
            _ => Ok(Vec::new()),
        }
    }

    fn complete(&mut self, find: &Find<'_>) {
        let recipe = find(&self.model).and_then(<dyn Any>::downcast_ref::<Train>);
        self.recipe = recipe.filter(|_| self.on == On::Folds).cloned().map(Box::new);
        if self.on == On::Split {
            self.split = Some(self.split());
        }
    }

    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>> {
        let of_recipe = self.recipe.as_ref().and_then(|recipe| recipe.runtime_needs());
        // What is trained on folds is trained to its end.
        Some(RuntimeNeeds { pauses: None, ..of_recipe.unwrap_or_default() })
    }

    fn figures(&self) -> Option<Figures> {
        Some(Figures {
            split: self.scored(),
            names: metrics::names().collect(),
            of_classes: true,
            read: |folder, name| Ok(Summary::read(folder)?.metrics.get(name).copied()),
        })
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        let (model, data) = (inputs.model("model"), inputs.data("data"));
        check_labels(model, data)?;
        if self.on == On::Folds {
            let names_stage = self.recipe.as_ref().is_some_and(|it| it.model.from.is_some());
            let encoder = names_stage.then(|| inputs.get(ENCODER));
            return Ok(Arc::new(self.on_folds(ctx, model, data, encoder)?));
        }
        let split = self.split();
        let examples = data.splits.get(split);
        if examples.is_empty() {
            return Err(Box::new(EvaluateError::EmptySplit(split)));
        }
        let (whose, seen) = (format!("`{}`", self.model), &model.seen);
        self.duplicates.check(ctx, (&whose, seen), (&self.data, data), split)?;
        let texts: Vec<&str> = examples.iter().map(|example| example.text.first.as_str()).collect();
        let logits = model.classifier().logits(ctx, &texts, "evaluating")?;
        let probabilities = probabilities(&logits);
        let predictions = predictions(examples, probabilities, model.labels.len())?;
        let evaluation = Evaluation::new(
            self.scored(),
            model.labels.clone(),
            predictions,
            model.summary.clone(),
        );
        warn_of_silent(ctx, &evaluation);
        Ok(Arc::new(evaluation))
    }
}

impl Evaluate {
    fn split(&self) -> Split {
        self.split.unwrap_or(Split::Test)
    }

    fn scored(&self) -> Scored {
        match self.on {
            On::Split => Scored::Split(self.split()),
            On::Folds => Scored::Folds,
        }
    }

    fn check_folds(&self, data: &DataFact) -> Result<Fact, Vec<CheckError>> {
        let mut problems = Vec::new();
        let mut add = |field: &str, message: String, hint: &str| {
            problems.push(CheckError::new(field, message).hint(hint));
        };
        match &self.recipe {
            None => {
                let message =
                    format!("`{}` is no `train` stage that could be repeated", self.model);
                add("model", message, "folds train the same recipe again: name a `train` stage");
            }
            Some(recipe) if recipe.data != self.data => {
                let message = format!("`{}` learns from `{}`", self.model, recipe.data);
                add("data", message, "folds are of the texts that the model learns from");
            }
            Some(recipe) if recipe.artifacts.is_some() => {
                let message = format!("`{}` trains artifacts", self.model);
                add("model", message, "artifacts are trained in one way; evaluate a split");
            }
            Some(recipe) => {
                if let Some(teacher) = recipe.teacher() {
                    let message =
                        format!("`{teacher}` teaches `{}`, and has seen every fold", self.model);
                    add("model", message, "score the teacher's recipe, or evaluate a split");
                }
                if let Some(name) = recipe.needs_dev() {
                    let message = format!(
                        "`{name}` of `{}` follows dev, which folds have none of",
                        self.model
                    );
                    add("on", message, "score a recipe of a fixed length, or evaluate a split");
                }
            }
        }
        if let Some(split) = self.split {
            let message = format!("folds are of train, and `split` is `{split}`");
            add("split", message, "leave one of them out");
        }
        if data.augmented {
            let message = "the train texts hold generated ones, and what has made them has seen \
                           every fold";
            add("data", message.to_owned(), "evaluate the recipe on texts before augmentation");
        }
        problems.extend(CheckError::of_folds("folds", self.folds));
        if problems.is_empty() { Ok(Fact::Of(Kind::SCORES)) } else { Err(problems) }
    }

    /// Scores every train text by a model that has not seen its fold.
    fn on_folds(
        &self,
        ctx: &dyn Ctx,
        model: &TrainedModel,
        data: &DataSet,
        encoder: Option<&StoredEncoder>,
    ) -> Result<Evaluation, StageError> {
        let Some(recipe) = &self.recipe else {
            return Err(Box::new(EvaluateError::NoRecipe { model: self.model.clone() }));
        };
        let Answer { logits, .. } = recipe.held_out(ctx, data, self.folds, encoder)?;
        let examples = &data.splits.train;
        let predictions = predictions(examples, probabilities(&logits), model.labels.len())?;
        let (labels, training) = (model.labels.clone(), model.summary.clone());
        let evaluation = Evaluation::new(Scored::Folds, labels, predictions, training);
        warn_of_silent(ctx, &evaluation);
        Ok(evaluation)
    }
}

fn warn_of_silent(ctx: &dyn Ctx, evaluation: &Evaluation) {
    for (class, label) in evaluation.labels.iter().enumerate() {
        if evaluation.confusion.iter().all(|counts| counts[class] == 0) {
            ctx.warn(&format!(
                "class `{label}` is never predicted; its precision and F1 count as 0"
            ));
        }
    }
}

fn check_labels(model: &TrainedModel, data: &DataSet) -> Result<(), EvaluateError> {
    let named = |labels: &[String]| {
        let shown: Vec<String> = labels.iter().take(20).map(|label| format!("`{label}`")).collect();
        match labels.len().saturating_sub(20) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    };
    if model.labels == data.labels() {
        return Ok(());
    }
    Err(EvaluateError::OtherClasses { model: named(&model.labels), data: named(data.labels()) })
}

fn predictions(
    examples: &[Example],
    probabilities: Vec<Vec<f32>>,
    classes: usize,
) -> Result<Vec<Prediction>, EvaluateError> {
    let mut probabilities = probabilities.into_iter();
    examples
        .iter()
        .map(|example| {
            let unusable = |found: String| EvaluateError::Unusable {
                id: example.id.clone(),
                found,
                expected: classes,
            };
            let row = probabilities.next().ok_or_else(|| unusable("nothing".into()))?;
            if row.len() != classes {
                return Err(unusable(format!("{} of them", row.len())));
            }
            if let Some(odd) = row.iter().find(|p| !(0.0..=1.0).contains(*p)) {
                return Err(unusable(format!("the probability {odd}")));
            }
            Ok(Prediction {
                id: example.id.clone(),
                text: example.text.to_string(),
                label: example.class(),
                prediction: argmax(&row),
                probabilities: row,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::contract::stage::DataFact;

    fn check(split: Split, has_dev: bool, has_test: bool, augmented: bool) -> Option<String> {
        let stage = Evaluate {
            model: StageId("tuned".into()),
            data: StageId("data".into()),
            split: Some(split),
            duplicates: Leaks::Error,
            on: On::Split,
            folds: None,
            recipe: None,
        };
        let facts = [
            Fact::Of(Kind::MODEL),
            Fact::Data(DataFact {
                task: TaskKind::Classes,
                has_dev,
                has_test,
                augmented,
                unlabelled: false,
            }),
        ];
        stage.check(&facts).err().map(|errors| errors[0].message.clone())
    }

    #[test]
    fn the_split_must_be_there_and_real() {
        assert_eq!(check(Split::Test, false, true, true), None);
        assert_eq!(
            check(Split::Test, true, false, false).as_deref(),
            Some("`data` has no test split")
        );
        assert_eq!(
            check(Split::Dev, false, true, false).as_deref(),
            Some("`data` has no dev split")
        );
        assert_eq!(check(Split::Train, false, false, false), None);
        let generated = check(Split::Train, true, true, true);
        assert_eq!(generated.as_deref(), Some("the train split of `data` holds generated texts"));
    }

    #[test]
    fn output_that_is_no_probability_is_refused() {
        let examples = [Example::original("row-1", "a", 0)];
        let message = |rows| predictions(&examples, rows, 2).err().map(|error| error.to_string());
        assert_eq!(message(vec![vec![0.25, 0.75]]), None);
        assert!(
            message(vec![vec![f32::NAN, 0.5]]).is_some_and(|text| text.contains("NaN for `row-1`"))
        );
        assert!(message(vec![vec![1.0]]).is_some() && message(vec![]).is_some());
    }
}
