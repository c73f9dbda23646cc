//! Probing: the encoder stays as it is, and a head is fitted to its vectors.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis, concatenate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Refusal, Trained, Work};
use crate::base::clock::Stopwatch;
use crate::data::Curves;
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Network, TrainingSummary};
use crate::stages::contract::stage::DataFact;
use crate::stages::inference::vectors::{Known, Reading};
use crate::stages::train::head::{Calibration, ClassPrior, Classifier, HeadSettings};
use crate::stages::train::label_texts::LabelTexts;
use crate::stages::train::opened::{Ending, Opened};
use crate::stages::train::problems::Problems;
use crate::stages::train::settings::Defaults;
use crate::stages::train::vectors::{Texts, texts, unlabelled};

/// Fits a classifier to the vectors of a frozen encoder, which are computed once for all that use
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The classifier over the vectors.
    #[serde(default)]
    pub classifier: Classifier,
    /// How probabilities are calibrated.
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

const STILL: &str = "the encoder stays as it is, and the head is solved for";

impl Probe {
    fn head(&self) -> HeadSettings {
        HeadSettings::new(&self.classifier, self.calibrate, &self.prior, self.folds)
    }

    /// Returns the vectors of the train texts and of those without labels.
    ///
    /// # Errors
    ///
    /// Fails where the encoder cannot be read, and where the engine does.
    pub(super) fn known(&self, work: &Work<'_>) -> Result<Known, StageError> {
        let Opened { mut pretrained, weights, form, texts: prepared, .. } =
            Opened::new(work, Ending::Vectors)?;
        pretrained.weights = weights;
        let embedder = Opened::embedder(&form)?;
        // Each list by itself, as others read it too.
        let (train, rest) = (texts(&work.data.splits.train), unlabelled(&work.data.unlabelled));
        let of = |texts: &[&str]| {
            read(work, Reading { pretrained: &pretrained, embedder, prepared: &prepared, texts })
        };
        let (of_train, of_rest) = (of(&train)?, of(&rest)?);
        let vectors = concatenate![Axis(0), of_train, of_rest];
        Ok(Known::new(&[train, rest].concat(), vectors))
    }
}

/// Returns the vectors of texts: those that are known, or what the encoder gives.
fn read(work: &Work<'_>, reading: Reading<'_>) -> Result<Array2<f32>, StageError> {
    match work.known.and_then(|known| known.of(reading.texts)) {
        Some(vectors) => Ok(vectors),
        None => reading.shared(work.ctx, work.identity),
    }
}

impl Learner for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn config(&self) -> Value {
        json!(self)
    }

    fn defaults(&self) -> Defaults {
        let label_texts = match self.classifier {
            Classifier::ZeroShot => LabelTexts::Auto,
            _ => LabelTexts::None,
        };
        Defaults { label_texts, ..Defaults::default() }
    }

    fn refuses(&self) -> Vec<Refusal> {
        const REFUSED: [Refusal; 23] = [
            ("epochs", STILL),
            ("stop_after", STILL),
            ("budget", STILL),
            ("batch_size", STILL),
            ("dropout", "there is none where vectors are computed"),
            ("optimizer", STILL),
            ("schedule", STILL),
            ("gradient_clip", STILL),
            ("accumulation", STILL),
            ("max_tokens_per_step", STILL),
            ("precision", "vectors are computed in single precision"),
            ("loss.label_smoothing", "the classifier has its own objective"),
            ("loss.r_drop", "the classifier has its own objective"),
            ("loss.mixup", "the classifier has its own objective"),
            ("reinitialise", STILL),
            ("regularise", STILL),
            ("freeze", STILL),
            ("adapters", STILL),
            ("early_stopping", STILL),
            ("best_checkpoint", STILL),
            ("average", STILL),
            ("backend", STILL),
            ("artifacts", STILL),
        ];
        self.classifier.refused().into_iter().chain(REFUSED).collect()
    }

    fn reads_unlabelled(&self) -> bool {
        self.head().reads_unlabelled()
    }

    fn check(&self, at: &str, data: &DataFact, problems: &mut Problems) {
        self.head().check(at, data, problems);
    }

    fn held_out(
        &self,
        work: &Work<'_>,
        folds: &[usize],
    ) -> Result<Option<Array2<f32>>, StageError> {
        let Opened { mut pretrained, weights, form, texts: prepared, .. } =
            Opened::new(work, Ending::Vectors)?;
        pretrained.weights = weights;
        let embedder = Opened::embedder(&form)?;
        let label_texts = work.settings.label_texts.of(work.ctx, work.data.labels())?;
        let head = self.head();
        let unlabelled = head.unlabelled(work.data);
        let texts = Texts { data: work.data, label_texts: &label_texts, unlabelled };
        let vectors = texts.vectors(&|texts| {
            read(work, Reading { pretrained: &pretrained, embedder, prepared: &prepared, texts })
        })?;
        Ok(Some(vectors.held_out(work, &head, folds)?))
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let Work { ctx, settings, identity, .. } = *work;
        let stopwatch = Stopwatch::start();
        let Opened { mut pretrained, weights, form, texts: prepared, told } =
            Opened::new(work, Ending::Vectors)?;
        pretrained.weights = weights;
        let embedder = Opened::embedder(&form)?;
        let label_texts = settings.label_texts.of(ctx, work.data.labels())?;
        let head = self.head();
        let unlabelled = head.unlabelled(work.data);
        let texts = Texts { data: work.data, label_texts: &label_texts, unlabelled };
        let vectors = texts.vectors(&|texts| {
            read(work, Reading { pretrained: &pretrained, embedder, prepared: &prepared, texts })
        })?;
        let head = vectors.fit(work, &head)?;
        pretrained.weights.extend(head.weights());
        let parameters = pretrained.weights.values().map(|array| array.len() as u64).sum();
        let trainable_parameters = head.weights().values().map(|array| array.len() as u64).sum();
        let point = vectors.point(work, &head)?;
        let truncated_share = texts.truncated_share(ctx, &prepared)?;
        let summary = TrainingSummary {
            seconds: stopwatch.seconds(),
            backend: "none".to_owned(),
            backend_reason: STILL.to_owned(),
            initial_weights: told,
            trainable_parameters,
            parameters,
            truncated_share,
            chosen: head.chosen,
            encodings: Some(0),
            ..TrainingSummary::default()
        };
        Ok(Trained {
            network: Network::Encoder { pretrained: Box::new(pretrained), form },
            preparation: prepared.preparation,
            longest: prepared.longest,
            curves: Curves(vec![point]),
            summary,
            frozen: Some(identity),
            adapter: BTreeMap::new(),
        })
    }
}
