//! Probing: the encoder stays as it is, and a head is fitted to its vectors.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis, concatenate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Refusal, Trained, Work};
use crate::base::clock::Stopwatch;
use crate::data::{Curves, Example};
use crate::model::Tensors;
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::TrainingSummary;
use crate::stages::contract::stage::DataFact;
use crate::stages::inference::vectors::Known;
use crate::stages::train::head::{Calibration, ClassPrior, Classifier, HeadSettings};
use crate::stages::train::label_texts::LabelTexts;
use crate::stages::train::opened::{Ending, Opened};
use crate::stages::train::problems::Problems;
use crate::stages::train::settings::Defaults;
use crate::stages::train::tokens::truncated_share;
use crate::stages::train::vectors::{Texts, Vectors, texts, unlabelled};

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
        let opened = Opened::new(work, Ending::Vectors)?;
        // Each list by itself, as others read it too.
        let (train, rest) = (texts(&work.data.splits.train), unlabelled(&work.data.unlabelled));
        let (of_train, of_rest) = (opened.shared(work, &train)?, opened.shared(work, &rest)?);
        let vectors = concatenate![Axis(0), of_train, of_rest];
        Ok(Known::new(&[train, rest].concat(), vectors))
    }

    /// Returns the vectors that the head is fitted to, and those of some dev texts.
    fn vectors(
        &self,
        work: &Work<'_>,
        opened: &Opened,
        dev: &[Example],
    ) -> Result<Vectors, StageError> {
        let data = work.data;
        let label_texts = work.settings.label_texts(work.ctx, data.labels())?;
        let texts = Texts {
            train: &data.splits.train,
            dev,
            label_texts: &label_texts,
            unlabelled: self.head().unlabelled(data),
        };
        texts.vectors(&|texts| opened.shared(work, texts))
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
        let label_texts = (self.classifier == Classifier::ZeroShot).then_some(LabelTexts::Auto);
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
        let opened = Opened::new(work, Ending::Vectors)?;
        let vectors = self.vectors(work, &opened, &[])?;
        Ok(Some(vectors.held_out(work, &self.head(), folds)?))
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let Work { ctx, data, .. } = *work;
        let stopwatch = Stopwatch::start();
        let mut opened = Opened::new(work, Ending::Vectors)?;
        let vectors = self.vectors(work, &opened, &data.splits.dev)?;
        let head = vectors.fit(work, &self.head())?;
        let trainable_parameters = Tensors::from(head.map.weights()).count();
        opened.keep_encoder(work)?;
        opened.put_on(&head.map)?;
        let parameters = opened.pretrained.weights.count();
        let point = vectors.point(work, &head)?;
        let tokens = opened.texts.encode(&texts(&data.splits.train))?;
        let summary = TrainingSummary {
            seconds: stopwatch.seconds(),
            backend: "none".to_owned(),
            backend_reason: STILL.to_owned(),
            trainable_parameters,
            parameters,
            truncated_share: truncated_share(ctx, &tokens, opened.texts.longest),
            chosen: head.chosen,
            encodings: Some(0),
            ..TrainingSummary::default()
        };
        let (curves, frozen) = (Curves(vec![point]), Some(work.identity));
        Ok(opened.into_trained(curves, summary, frozen, BTreeMap::new()))
    }
}
