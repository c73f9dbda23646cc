//! Trainings that stand in for a stage's own: their models answer for some texts and are not kept.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, ArrayD, Ix2};
use serde_json::{Value, json};

use super::certainty::{Certainty, Passes};
use super::method::contract::{Cost, Learner, Trained, Work};
use super::settings::CODE_VERSION;
use crate::base::clock::Stopwatch;
use crate::base::digest::Digest;
use crate::base::report::{Progress, Report};
use crate::base::secrets::Secrets;
use crate::data::{DataSet, Example, Splits, Unlabelled};
use crate::engine::{Device, Runtime};
use crate::model::{ModelError, Weights, weights};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Kind, Network, Output};
use crate::stages::contract::stage::{Ctx, External, Piece};
use crate::stages::inference::trained::Classifier;
use crate::stages::inference::vector_head::VectorHead;

/// A training by a method on examples of its own, whose model answers for some texts.
pub(super) struct StandIn<'a> {
    pub learner: &'a dyn Learner,
    /// With the labels and the texts without labels; its own examples are not looked at.
    pub work: &'a Work<'a>,
    pub train: Vec<Example>,
    /// How much each example counts; `None` if all count 1.
    pub weights: Option<Vec<f64>>,
    pub dev: &'a [Example],
    /// What the model answers for.
    pub asked: Vec<&'a str>,
    /// How many passes under dropout tell how sure it is of them; mostly none.
    pub passes: Option<u32>,
    /// Whether it shows what is to be warned of: a last training that is like it may do so.
    pub warns: bool,
}

/// What the model of a training answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The logits of the texts, `[N, K]`.
    pub logits: Array2<f32>,
    /// How sure it is of them, where passes were asked for.
    pub certainty: Option<Certainty>,
    pub cost: Cost,
}

impl StandIn<'_> {
    /// Returns what the cache has of the answer, or does the work.
    ///
    /// # Errors
    ///
    /// Fails as the method does.
    pub(super) fn answer(&self) -> Result<Answer, StageError> {
        Ok(self.work.ctx.shared(self)?.as_a::<Answer>().clone())
    }

    /// Trains on the examples.
    ///
    /// # Errors
    ///
    /// Fails as the method does.
    pub(super) fn learn(&self, ctx: &dyn Ctx) -> Result<Trained, StageError> {
        let DataSet { task, unlabelled, .. } = self.work.data;
        let splits = Splits { train: self.train.clone(), dev: self.dev.to_vec(), test: Vec::new() };
        let (task, unlabelled) = (task.clone(), unlabelled.clone());
        let data = DataSet { task, splits, unlabelled, ..DataSet::default() };
        let weights = self.weights.as_deref();
        self.learner.learn(&Work { ctx, data: &data, weights, ..*self.work })
    }

    /// Returns the logits `[N, K]` of the texts that are asked for.
    fn logits(&self, ctx: &dyn Ctx, trained: &Trained) -> Result<Array2<f32>, StageError> {
        let classes = self.work.data.labels().len();
        if self.asked.is_empty() {
            return Ok(Array2::zeros((0, classes)));
        }
        let known = self.work.known.filter(|_| trained.frozen.is_some());
        if let Network::Encoder { pretrained, form } = &trained.network
            && let Some(vectors) = known.and_then(|known| known.of(&self.asked))
        {
            let head = VectorHead::of(form, &pretrained.vector_head()?, vectors.ncols())?;
            return Ok(head.kept_logits(&vectors));
        }
        self.classifier(trained).logits(ctx, &self.asked, "predicting")
    }

    /// Returns how sure the model is of the texts that are asked for, given what it predicts.
    fn certainty(
        &self,
        ctx: &dyn Ctx,
        trained: &Trained,
        logits: &Array2<f32>,
    ) -> Result<Option<Certainty>, StageError> {
        let Some(count) = self.passes else { return Ok(None) };
        let mut passes = Passes::new(logits);
        self.classifier(trained).passes(ctx, &self.asked, count, &mut |logits| {
            passes.add(logits.mapv(f64::from).view());
        })?;
        Ok(Some(passes.certainty()))
    }

    fn classifier<'b>(&self, trained: &'b Trained) -> Classifier<'b> {
        Classifier {
            network: &trained.network,
            preparation: &trained.preparation,
            max_length: trained.longest,
            frozen: trained.frozen,
            classes: self.work.data.labels().len(),
        }
    }
}

impl Piece for StandIn<'_> {
    fn name(&self) -> &'static str {
        "training"
    }

    fn code_version(&self) -> u32 {
        CODE_VERSION
    }

    fn config(&self) -> Value {
        let data = self.work.data;
        let unlabelled = self.learner.reads_unlabelled().then_some(&data.unlabelled);
        let mut settings = json!(self.work.settings);
        if let Some(model) = settings["model"].as_object_mut() {
            // The id of a stage; the encoder itself is among the externals.
            model.shift_remove("from");
        }
        json!({
            "method": { self.learner.name(): self.learner.config() },
            "settings": settings,
            "labels": data.labels(),
            "train": of_examples(&self.train),
            "weights": self.weights.as_ref().map(|all| of_lines(all.iter().map(f64::to_string))),
            "passes": self.passes,
            "dev": of_examples(self.dev),
            "asked": of_lines(self.asked.iter().map(|text| text.to_string())),
            "unlabelled": unlabelled.map(|texts| of_unlabelled(texts)),
            // Vectors that are known were computed with these beside them.
            "known": self.work.known.map(|_| of_examples(&data.splits.train)),
            "seed": self.work.ctx.seed(),
        })
    }

    fn externals(&self) -> Vec<External> {
        vec![External { name: "encoder".to_owned(), digest: self.work.identity }]
    }

    fn kind(&self) -> Kind {
        Kind::ANSWER
    }

    fn compute(&self, ctx: &dyn Ctx) -> Result<Arc<dyn Output>, StageError> {
        let quiet = Quiet { inner: ctx, warns: self.warns };
        let stopwatch = Stopwatch::start();
        let trained = self.learn(&quiet)?;
        let logits = self.logits(&quiet, &trained)?;
        let certainty = self.certainty(&quiet, &trained, &logits)?;
        let encodings = trained.summary.encodings.unwrap_or_default();
        let cost = Cost { encodings, seconds: stopwatch.seconds() };
        Ok(Arc::new(Answer { logits, certainty, cost }))
    }
}

fn of_examples(examples: &[Example]) -> String {
    let line = |it: &Example| format!("{} {} {}", it.id, it.class(), it.text.joined());
    of_lines(examples.iter().map(line))
}

fn of_unlabelled(texts: &[Unlabelled]) -> String {
    of_lines(texts.iter().map(|it| format!("{} {}", it.id, it.text.joined())))
}

/// Returns the digest of texts in their order.
fn of_lines(lines: impl Iterator<Item = String>) -> String {
    let all: String = lines.map(|line| Digest::of(line.as_bytes()).to_string()).collect();
    Digest::of(all.as_bytes()).to_string()
}

const LOGITS: &str = "logits";
const ENCODINGS: &str = "encodings";
const SECONDS: &str = "seconds";
const BALD: &str = "bald";
const VARIANCE: &str = "variance";

impl Kind {
    /// What the model of a training that is not kept has answered.
    pub const ANSWER: Kind =
        Kind::new("predictions of a stand-in", |folder| Ok(Arc::new(Answer::read(folder)?)));
}

impl Answer {
    fn read(folder: &Path) -> Result<Answer, ModelError> {
        let mut found = weights::read_whole(folder)?;
        let missing = |name: &str| ModelError::MissingTensor {
            path: folder.to_owned(),
            name: name.to_owned(),
            expected: Vec::new(),
        };
        let certainty = match (found.remove(BALD), found.remove(VARIANCE)) {
            (Some(bald), Some(variance)) => {
                let list = |array: ArrayD<f32>| array.into_iter().collect();
                Some(Certainty { bald: list(bald), variance: list(variance) })
            }
            _ => None,
        };
        let mut take = |name: &str| found.remove(name).ok_or_else(|| missing(name));
        let (logits, encodings, seconds) = (take(LOGITS)?, take(ENCODINGS)?, take(SECONDS)?);
        let cost = Cost {
            encodings: encodings.iter().map(|value| *value as u64).sum(),
            seconds: seconds.iter().copied().map(f64::from).sum(),
        };
        let logits = logits.into_dimensionality::<Ix2>().map_err(|_| missing(LOGITS))?;
        Ok(Answer { logits, certainty, cost })
    }
}

impl Output for Answer {
    fn kind(&self) -> Kind {
        Kind::ANSWER
    }

    /// Writes model.safetensors with `logits` `[N, K]`, `encodings` (in thousands and the rest,
    /// which single precision holds exactly) and `seconds` `[1]`, perhaps `bald` and `variance`
    /// `[N]`.
    fn write(&self, folder: &Path) -> Result<(), StageError> {
        let Cost { encodings, seconds } = self.cost;
        let parts = [(encodings / 1000 * 1000) as f32, (encodings % 1000) as f32];
        let encodings = ArrayD::from_shape_fn(vec![2], |place| parts[place[0]]);
        let mut tensors = Weights::from([
            (LOGITS.to_owned(), self.logits.clone().into_dyn()),
            (ENCODINGS.to_owned(), encodings),
            (SECONDS.to_owned(), ArrayD::from_elem(vec![1], seconds as f32)),
        ]);
        if let Some(Certainty { bald, variance }) = &self.certainty {
            let list =
                |values: &[f32]| ArrayD::from_shape_fn(vec![values.len()], |at| values[at[0]]);
            tensors.insert(BALD.to_owned(), list(bald));
            tensors.insert(VARIANCE.to_owned(), list(variance));
        }
        Ok(weights::write(folder, &tensors, str::to_owned)?)
    }
}

/// A context whose notes are not shown: those of every training are the same.
pub(super) struct Quiet<'a> {
    pub inner: &'a dyn Ctx,
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
        self.inner.scratch()
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
