//! Linear probing, then fine-tuning (Kumar et al. 2022): the head begins where a probe ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Refusal, Trained, Work};
use super::fine_tune;
use crate::base::clock::Stopwatch;
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::DataFact;
use crate::stages::train::head::{Calibration, ClassPrior, Classifier, HeadSettings};
use crate::stages::train::opened::{Ending, Opened};
use crate::stages::train::problems::Problems;
use crate::stages::train::schedule::{Schedule, Warmup};
use crate::stages::train::settings::{Defaults, Span};
use crate::stages::train::vectors::Texts;

/// Fits a head to the vectors of the encoder as it is, then trains both together. The encoder is
/// not pulled about by a head that knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LpFt {
    /// The classifier that the head begins with.
    #[serde(default)]
    pub classifier: Classifier,
    /// The number of folds of train by which `auto` settings of the classifier are chosen. There
    /// are fewer where a class has fewer texts. Default: 4.
    #[serde(default)]
    pub folds: Option<usize>,
}

impl LpFt {
    fn head(&self) -> HeadSettings {
        let prior = ClassPrior::default();
        HeadSettings::new(&self.classifier, Calibration::None, &prior, self.folds)
    }
}

impl Learner for LpFt {
    fn name(&self) -> &'static str {
        "lp_ft"
    }

    fn config(&self) -> Value {
        json!(self)
    }

    fn defaults(&self) -> Defaults {
        Defaults {
            span: Span::Epochs(10),
            learning_rate: 2e-5,
            schedule: Schedule::Linear(Warmup { warmup: 0.1 }),
            ..Defaults::default()
        }
    }

    fn refuses(&self) -> Vec<Refusal> {
        const REFUSED: [Refusal; 2] = [
            ("reinitialise", "the probe needs vectors that already mean something"),
            ("artifacts", "artifacts have a head of their own"),
        ];
        self.classifier.refused().into_iter().chain(REFUSED).collect()
    }

    fn check(&self, at: &str, data: &DataFact, problems: &mut Problems) {
        self.head().check(at, data, problems);
        if matches!(self.classifier, Classifier::Knn(_)) {
            problems.add(
                &format!("{at}.classifier.knn"),
                "nothing is trained through a count of the nearest texts".to_owned(),
                "take a classifier that is linear, such as `logistic_regression`",
            );
        }
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let stopwatch = Stopwatch::start();
        let data = work.data;
        let mut opened = Opened::new(work, Ending::Vectors)?;
        let label_texts = work.settings.label_texts(work.ctx, data.labels())?;
        let train = &data.splits.train;
        let texts = Texts { train, label_texts: &label_texts, ..Texts::default() };
        let vectors = texts.vectors(&|texts| opened.shared(work, texts))?;
        let head = vectors.fit(work, &self.head())?;
        opened.put_on(&head.map)?;
        let before = stopwatch.seconds();
        let mut trained = fine_tune::train(work, opened)?;
        trained.summary.seconds += before;
        trained.summary.chosen = head.chosen;
        Ok(trained)
    }
}
