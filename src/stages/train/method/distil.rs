//! Embedding distillation: the encoder learns the cosines of a trained model's vectors, then a head
//! is fitted to its own.

use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Refusal, Trained, Work};
use super::rounds::{Taken, with_taken};
use super::tune::{REFUSED, Then, tune};
use crate::base::clock::Stopwatch;
use crate::data::{DataSet, Splits};
use crate::metrics::argmax;
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Kind, Network, TrainedModel};
use crate::stages::contract::stage::{DataFact, Port, StageId};
use crate::stages::inference::trained::Read;
use crate::stages::train::error::TrainError;
use crate::stages::train::folds;
use crate::stages::train::head;
use crate::stages::train::head::{Calibration, ClassPrior, Classifier, HeadSettings};
use crate::stages::train::label_texts::LabelTexts;
use crate::stages::train::objective::Distillation;
use crate::stages::train::opened::{Ending, Opened};
use crate::stages::train::problems::Problems;
use crate::stages::train::schedule::{Schedule, Warmup};
use crate::stages::train::settings::{Defaults, Span};
use crate::stages::train::tokens::Tokens;
use crate::stages::train::vectors::{Texts, texts, unlabelled};

/// The name of the method.
const NAME: &str = "distil";

/// Tunes the encoder until the cosines among texts, with labels and without, are those of a trained
/// model (Tunstall et al. 2022, section 6), then fits a classifier to its vectors: a small encoder
/// for what a large one has learnt.
///
/// The classifier learns from the train texts with their labels, and from the texts without labels
/// with the teacher's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distil {
    /// The `train` stage whose model teaches, on data with the same labels: one with a head over
    /// vectors, such as that of `contrastive` or `probe`.
    pub teacher: StageId,
    /// The classifier over the tuned vectors.
    #[serde(default)]
    pub classifier: Classifier,
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

impl Distil {
    fn head(&self) -> HeadSettings {
        HeadSettings::new(&self.classifier, self.calibrate, &self.prior, self.folds)
    }
}

impl Learner for Distil {
    fn name(&self) -> &'static str {
        NAME
    }

    fn config(&self) -> Value {
        json!(self)
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        let (field, stage) = ("method.distil.teacher", &self.teacher);
        vec![Port { field, stage, expects: Kind::MODEL, draw: 0 }]
    }

    fn defaults(&self) -> Defaults {
        let label_texts = (self.classifier == Classifier::ZeroShot).then_some(LabelTexts::Auto);
        Defaults {
            span: Span::Within { epochs: 10, steps: 1000 },
            batch_size: 32,
            learning_rate: 3e-5,
            schedule: Schedule::Linear(Warmup { warmup: 0.1 }),
            label_texts,
        }
    }

    fn refuses(&self) -> Vec<Refusal> {
        self.classifier.refused().into_iter().chain(REFUSED).collect()
    }

    fn reads_unlabelled(&self) -> bool {
        true
    }

    fn least_batch(&self) -> usize {
        2
    }

    fn check(&self, at: &str, data: &DataFact, problems: &mut Problems) {
        self.head().check(at, data, problems);
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let Work { ctx, settings, data, .. } = *work;
        let opening = Stopwatch::start();
        let opened = Opened::new(work, Ending::Vectors)?;
        let label_texts = settings.label_texts(ctx, data.labels())?;
        // Without the teacher, folds are trained.
        let teacher = work.teacher.ok_or(TrainError::TaughtFolds)?;
        let order = classes_of(teacher, data.labels())?;
        // All texts, with the teacher's labels where there are no others.
        let asked = [texts(&data.splits.train), unlabelled(&data.unlabelled)].concat();
        let read = teacher.classifier().vectors(ctx, &asked)?;
        let why = match teacher.network {
            Network::Encoder { .. } => "its head is the architecture's own",
            Network::Ensemble(_) => "it is an ensemble",
            Network::Onnx(_) => "it was trained from artifacts",
        };
        let Read { vectors, logits } = read.ok_or(TrainError::TeacherHead(why))?;
        let classes = logits.rows().into_iter().map(|row| order[argmax(&row.to_vec())]);
        let taken: Vec<Taken> = classes
            .skip(data.splits.train.len())
            .enumerate()
            .map(|(place, class)| Taken { place, class, weight: 1.0 })
            .collect();
        let train = with_taken(data, &data.splits.train, &taken, NAME);
        let splits = Splits { train, dev: data.splits.dev.clone(), test: Vec::new() };
        let both = DataSet { task: data.task.clone(), splits, ..DataSet::default() };
        let examples = &both.splits.train;
        // Before the encoder learns for minutes.
        let of_train = (&both.train_classes()[..], &folds::judged_with(&both)[..]);
        head::fit::check(&self.head(), of_train, data.labels(), !label_texts.is_empty())?;
        let tokens = Tokens::new(ctx, (examples, &[]), &opened.texts)?;
        let of_windows = settings.windows.is_some();
        let objective = Distillation::new(vectors, opened.width()?, of_windows);
        let texts = Texts {
            train: examples,
            dev: &data.splits.dev,
            label_texts: &label_texts,
            unlabelled: self.head().unlabelled(data),
        };
        let work_of_both = Work { data: &both, ..*work };
        let then = Then { work: &work_of_both, texts, settings: self.head() };
        tune(work, (opened, opening), (&objective, &tokens), &then)
    }
}

/// Returns the place of each of a teacher's classes among the labels of the data.
fn classes_of(teacher: &TrainedModel, labels: &[String]) -> Result<Vec<usize>, TrainError> {
    let own: IndexSet<&String> = labels.iter().collect();
    let order: Option<Vec<usize>> =
        teacher.labels.iter().map(|label| own.get_index_of(label)).collect();
    order.filter(|order| order.len() == labels.len()).ok_or_else(|| TrainError::OtherTeacher {
        teacher: teacher.labels.join(", "),
        data: labels.join(", "),
    })
}
