//! Contrastive tuning: the encoder learns which texts belong together, then a head is fitted to its
//! vectors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Refusal, Trained, Work};
use super::tune::{REFUSED, Then, tune};
use crate::base::clock::Stopwatch;
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::DataFact;
use crate::stages::train::folds;
use crate::stages::train::head;
use crate::stages::train::head::settings::{Automatic, LogisticRegression};
use crate::stages::train::head::{Calibration, ClassPrior, Classifier, HeadSettings};
use crate::stages::train::label_texts::LabelTexts;
use crate::stages::train::objective::{Contrastive as Objective, ContrastiveLoss};
use crate::stages::train::opened::{Ending, Opened};
use crate::stages::train::problems::Problems;
use crate::stages::train::schedule::{Schedule, Warmup};
use crate::stages::train::settings::{Defaults, Span};
use crate::stages::train::tokens::Tokens;
use crate::stages::train::vectors::Texts;

/// Draws the vectors of one class together and those of others apart, then fits a classifier to
/// them. The strongest method for few texts of each class with a sentence encoder.
///
/// Batches are made by class. With label texts, that of each class of a batch joins it, and counts
/// as much as the texts of the class there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contrastive {
    /// What draws the vectors together.
    #[serde(default)]
    pub loss: ContrastiveLoss,
    /// The classifier over the tuned vectors. Default: logistic regression with C by folds; with
    /// `setfit` C is 1, as there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Classifier>,
    /// How probabilities are calibrated. Folds see the tuned vectors, which have seen all texts.
    #[serde(default)]
    pub calibrate: Calibration,
    /// The shares of the classes among the texts that will be predicted.
    #[serde(default)]
    pub prior: ClassPrior,
    /// The number of folds of train by which `auto` settings and temperatures are chosen. There are
    /// fewer where a class has fewer texts. Default: 4.
    #[serde(default)]
    pub folds: Option<usize>,
}

impl Contrastive {
    fn head(&self) -> HeadSettings {
        let usual = || {
            let c = Automatic(self.is_setfit().then_some(1.0));
            Classifier::LogisticRegression(LogisticRegression { c })
        };
        let classifier = self.classifier.clone().unwrap_or_else(usual);
        HeadSettings::new(&classifier, self.calibrate, &self.prior, self.folds)
    }

    fn is_setfit(&self) -> bool {
        matches!(self.loss, ContrastiveLoss::Setfit(_))
    }
}

impl Learner for Contrastive {
    fn name(&self) -> &'static str {
        "contrastive"
    }

    fn defaults(&self) -> Defaults {
        let warm = Schedule::Linear(Warmup { warmup: 0.1 });
        if self.is_setfit() {
            return Defaults {
                span: Span::Epochs(1),
                batch_size: 16,
                learning_rate: 2e-5,
                schedule: warm,
                label_texts: None,
            };
        }
        Defaults {
            span: Span::Within { epochs: 40, steps: 400 },
            batch_size: 32,
            learning_rate: 3e-5,
            schedule: warm,
            label_texts: Some(LabelTexts::Auto),
        }
    }

    fn config(&self) -> Value {
        json!(self)
    }

    fn refuses(&self) -> Vec<Refusal> {
        let of_setfit = self.is_setfit().then_some(("label_texts", "its pairs are of texts alone"));
        of_setfit.into_iter().chain(REFUSED).collect()
    }

    fn reads_unlabelled(&self) -> bool {
        self.head().reads_unlabelled()
    }

    fn least_batch(&self) -> usize {
        if self.is_setfit() { 1 } else { 4 }
    }

    fn check(&self, at: &str, data: &DataFact, problems: &mut Problems) {
        self.head().check(at, data, problems);
        match &self.loss {
            ContrastiveLoss::Supcon(loss) => {
                problems.positive(&format!("{at}.loss.supcon.temperature"), loss.temperature);
            }
            ContrastiveLoss::Setfit(loss) => {
                problems
                    .at_least_one(&format!("{at}.loss.setfit.iterations"), loss.iterations as u64);
            }
            ContrastiveLoss::AllPairs | ContrastiveLoss::Triplet => {}
        }
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let Work { ctx, settings, data, .. } = *work;
        let opening = Stopwatch::start();
        let opened = Opened::new(work, Ending::Vectors)?;
        let label_texts = settings.label_texts(ctx, data.labels())?;
        let mut tokens = Tokens::new(ctx, (&data.splits.train, &[]), &opened.texts)?;
        let own: Vec<&str> = label_texts.iter().map(String::as_str).collect();
        tokens.train.extend(opened.texts.encode(&own)?);
        let classes = data.train_classes();
        // Before the encoder learns for minutes.
        let of_train = (&classes[..], &folds::judged_with(data)[..]);
        head::fit::check(&self.head(), of_train, data.labels(), !own.is_empty())?;
        let of_windows = settings.windows.is_some();
        let objective = Objective::new(&self.loss, classes, own.len(), opened.width()?, of_windows);
        let texts = Texts {
            train: &data.splits.train,
            dev: &data.splits.dev,
            label_texts: &label_texts,
            unlabelled: self.head().unlabelled(data),
        };
        let then = Then { work, texts, settings: self.head() };
        tune(work, (opened, opening), (&objective, &tokens), &then)
    }
}
