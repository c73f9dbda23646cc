//! Predictions of train texts by models that have not seen them.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, ArrayD, Ix2};
use serde_json::{Value, json};

use super::error::TrainError;
use super::head::fit::{folds_of, named};
use super::method::contract::{Learner, Trained, Work};
use super::settings::CODE_VERSION;
use super::vectors::texts;
use crate::base::digest::Digest;
use crate::base::report::{Progress, Report};
use crate::base::secrets::Secrets;
use crate::classifiers::folds::FOLDS;
use crate::data::{DataSet, Example, Seen, Split, Splits, Unlabelled};
use crate::engine::{Device, Runtime};
use crate::model::pretrained::SEEN_TEXTS;
use crate::model::{ModelError, Weights, weights};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Kind, Output};
use crate::stages::contract::stage::Piece;
use crate::stages::contract::stage::{Ctx, External};
use crate::stages::inference::trained::Classifier;

/// The texts of each class that are left without a fold, of which a head can be chosen.
const LEFT: usize = 2;

/// Logits of texts by models that have not seen them.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// `[N, K]`
    pub logits: Array2<f32>,
    /// The texts that the encoder has read for them, each as often as it did.
    pub encodings: u64,
}

/// Returns the fold of each train text.
///
/// # Errors
///
/// Fails where a class has too few texts, where texts were generated, since what has made them has
/// seen all of train, and where the pretrained model has learnt from the texts.
pub fn assign(work: &Work<'_>, asked: Option<usize>) -> Result<Vec<usize>, StageError> {
    let Work { ctx, data, folder, .. } = *work;
    let train = &data.splits.train;
    if train.iter().any(|text| !text.is_original()) {
        return Err(Box::new(TrainError::GeneratedFolds));
    }
    let seen = Seen::read(&folder.join(SEEN_TEXTS))?;
    let is_seen =
        |text: &&Example| seen.as_what(&text.text.joined(), Split::Dev) == Some(Split::Train);
    let count = train.iter().filter(is_seen).count();
    if count > 0 {
        return Err(Box::new(TrainError::SeenFolds { count, all: train.len() }));
    }
    let classes = data.train_classes();
    let of = |class: usize| classes.iter().filter(|own| **own == class).count();
    let smallest = (0..data.labels().len()).map(of).min().unwrap_or(0);
    let folds = asked.unwrap_or_else(|| FOLDS.min(smallest)).max(2);
    let left = |count: usize| count - count.div_ceil(folds);
    let least = (LEFT..).find(|count| left(*count) >= LEFT).unwrap_or(LEFT);
    let few = (0..data.labels().len()).find(|class| of(*class) < least.max(folds));
    if let Some(class) = few {
        let (label, count) = (data.labels()[class].clone(), of(class));
        let least = least.max(folds);
        return Err(Box::new(TrainError::FewForFolds { label, count, folds, least }));
    }
    let made = folds_of(&classes, &data.families(), data.labels().len(), (Some(folds), ctx.seed()));
    Ok(made.map_err(|error| named(error, data.labels()))?)
}

/// Returns the logits of every train text by a model that has learnt from the other folds alone.
///
/// # Errors
///
/// Fails where the method does.
pub fn held_out(
    learner: &dyn Learner,
    work: &Work<'_>,
    folds: &[usize],
) -> Result<HeldOut, StageError> {
    if let Some(logits) = learner.held_out(work, folds)? {
        return Ok(HeldOut { logits, encodings: 0 });
    }
    let count = crate::classifiers::folds::count(folds);
    let mut all =
        HeldOut { logits: Array2::zeros((folds.len(), work.data.labels().len())), encodings: 0 };
    for fold in 0..count {
        work.ctx.note(&format!("{}: fold {} of {count}", learner.name(), fold + 1));
        let output = work.ctx.shared(&Fold { learner, work, folds, fold })?;
        let output: &dyn Any = &*output;
        let Some(found) = output.downcast_ref::<HeldOut>() else {
            unreachable!("the piece gives what was held out")
        };
        let places = (0..folds.len()).filter(|&text| folds[text] == fold);
        for (row, text) in found.logits.rows().into_iter().zip(places) {
            all.logits.row_mut(text).assign(&row);
        }
        all.encodings += found.encodings;
    }
    Ok(all)
}

/// A training without one fold, and the predictions of that fold.
struct Fold<'a> {
    learner: &'a dyn Learner,
    work: &'a Work<'a>,
    folds: &'a [usize],
    fold: usize,
}

impl Fold<'_> {
    /// Returns the examples of the fold, or the others.
    fn examples(&self, of_fold: bool) -> Vec<Example> {
        let train = self.work.data.splits.train.iter().zip(self.folds);
        let chosen = train.filter(|(_, fold)| (**fold == self.fold) == of_fold);
        chosen.map(|(example, _)| example.clone()).collect()
    }
}

impl Piece for Fold<'_> {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn code_version(&self) -> u32 {
        CODE_VERSION
    }

    fn config(&self) -> Value {
        let mut config = json!({
            "method": { self.learner.name(): self.learner.config() },
            "settings": self.work.settings,
            "labels": self.work.data.labels(),
            "train": digest_of(&self.examples(false)),
            "held_out": digest_of(&self.examples(true)),
            "seed": self.work.ctx.seed(),
        });
        if self.learner.reads_unlabelled() {
            config["unlabelled"] = json!(digest_of_unlabelled(&self.work.data.unlabelled));
        }
        config
    }

    fn externals(&self) -> Vec<External> {
        vec![External { name: "encoder".to_owned(), digest: self.work.identity }]
    }

    fn kind(&self) -> Kind {
        Kind::HELD_OUT
    }

    fn compute(&self, ctx: &dyn Ctx) -> Result<Arc<dyn Output>, StageError> {
        let scratch = ctx.scratch().join(format!("{}-fold-{}", self.learner.name(), self.fold));
        let quiet = Quiet { inner: ctx, scratch, warns: true };
        let splits = Splits { train: self.examples(false), ..Splits::default() };
        let DataSet { task, unlabelled, .. } = self.work.data;
        let (task, unlabelled) = (task.clone(), unlabelled.clone());
        let data = DataSet { task, splits, unlabelled, ..DataSet::default() };
        let work = Work { ctx: &quiet, data: &data, ..*self.work };
        let Trained { network, preparation, longest, summary, frozen, .. } =
            self.learner.learn(&work)?;
        let classifier = Classifier {
            network: &network,
            preparation: &preparation,
            max_length: longest,
            frozen,
            classes: data.labels().len(),
        };
        let examples = self.examples(true);
        let logits = classifier.logits(&quiet, &texts(&examples), "evaluating")?;
        Ok(Arc::new(HeldOut { logits, encodings: summary.encodings.unwrap_or_default() }))
    }
}

/// Returns the digest of examples in their order.
pub(super) fn digest_of(examples: &[Example]) -> String {
    let line = |example: &Example| {
        let text = Digest::of(example.text.joined().as_bytes());
        format!("{} {} {text}\n", example.id, example.class())
    };
    let all: String = examples.iter().map(line).collect();
    Digest::of(all.as_bytes()).to_string()
}

/// Returns the digest of texts without labels in their order.
pub(super) fn digest_of_unlabelled(texts: &[Unlabelled]) -> String {
    let line =
        |text: &Unlabelled| format!("{} {}\n", text.id, Digest::of(text.text.joined().as_bytes()));
    let all: String = texts.iter().map(line).collect();
    Digest::of(all.as_bytes()).to_string()
}

const LOGITS: &str = "logits";
const ENCODINGS: &str = "encodings";

impl Kind {
    /// Predictions of texts that were held out.
    pub const HELD_OUT: Kind =
        Kind::new("predictions of held-out texts", |folder| Ok(Arc::new(HeldOut::read(folder)?)));
}

impl HeldOut {
    fn read(folder: &Path) -> Result<HeldOut, ModelError> {
        let mut found = weights::read_whole(folder)?;
        let mut take = |name: &str| {
            let missing = || ModelError::MissingTensor {
                path: folder.to_owned(),
                name: name.to_owned(),
                expected: Vec::new(),
            };
            found.remove(name).ok_or_else(missing)
        };
        let (logits, encodings) = (take(LOGITS)?, take(ENCODINGS)?);
        let encodings = encodings.iter().map(|value| *value as u64).sum();
        let shape = logits.shape().to_vec();
        let logits =
            logits.into_dimensionality::<Ix2>().map_err(|_| ModelError::MissingTensor {
                path: folder.to_owned(),
                name: LOGITS.to_owned(),
                expected: shape,
            })?;
        Ok(HeldOut { logits, encodings })
    }
}

impl Output for HeldOut {
    fn kind(&self) -> Kind {
        Kind::HELD_OUT
    }

    /// Writes model.safetensors with `logits` `[N, K]` and `encodings` (in thousands and the rest,
    /// which single precision holds exactly).
    fn write(&self, folder: &Path) -> Result<(), StageError> {
        let parts = [(self.encodings / 1000 * 1000) as f32, (self.encodings % 1000) as f32];
        let encodings = ArrayD::from_shape_fn(vec![2], |place| parts[place[0]]);
        let tensors = Weights::from([
            (LOGITS.to_owned(), self.logits.clone().into_dyn()),
            (ENCODINGS.to_owned(), encodings),
        ]);
        Ok(weights::write(folder, &tensors, str::to_owned)?)
    }
}

/// A context whose notes are not shown: those of every fold are the same.
pub(super) struct Quiet<'a> {
    pub inner: &'a dyn Ctx,
    pub scratch: PathBuf,
    /// Whether warnings are shown.
    pub warns: bool,
}

impl Report for Quiet<'_> {
    fn progress(&self, progress: &Progress<'_>) {
        self.inner.progress(progress);
    }

    fn note(&self, _: &str) {}

    fn warn(&self, line: &str) {
        if self.warns {
            self.inner.warn(line);
        }
    }
}

impl Ctx for Quiet<'_> {
    fn stage(&self) -> &str {
        self.inner.stage()
    }

    fn seed(&self) -> u64 {
        self.inner.seed()
    }

    fn folder(&self) -> &Path {
        self.inner.folder()
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn device(&self) -> Device {
        self.inner.device()
    }

    fn threads(&self) -> usize {
        self.inner.threads()
    }

    fn runtime(&self) -> Result<&Runtime, StageError> {
        self.inner.runtime()
    }

    fn secrets(&self) -> Secrets {
        self.inner.secrets()
    }

    fn shared(&self, piece: &dyn Piece) -> Result<Arc<dyn Output>, StageError> {
        self.inner.shared(piece)
    }

    fn interrupted(&self) -> bool {
        self.inner.interrupted()
    }
}
