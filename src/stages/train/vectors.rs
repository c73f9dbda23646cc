//! The vectors of a data set's texts, and the heads that are fitted to them.
//!
//! Dimensions: `N` texts, `E` width of a vector, `K` classes.

use ndarray::{Array2, Axis};

use super::error::TrainError;
use super::folds::{judged_with, parted};
use super::head::{Head, HeadSettings, Sample};
use super::method::contract::Work;
use super::objective::loss::class_weights;
use super::objective::{Classification, Form, Objective};
use crate::classifiers::score;
use crate::data::curves::CurvePoint;
use crate::data::{Example, Unlabelled};
use crate::stages::contract::error::StageError;

/// The texts that a head is fitted to and looked at with.
#[derive(Clone, Copy, Default)]
pub(super) struct Texts<'a> {
    pub train: &'a [Example],
    /// Those of dev where the head is judged by them.
    pub dev: &'a [Example],
    /// A text for each label, or none at all.
    pub label_texts: &'a [String],
    /// The texts without labels that the head is fitted to; mostly none.
    pub unlabelled: &'a [Unlabelled],
}

/// Their vectors, of length 1.
pub(super) struct Vectors {
    /// `[N, E]`
    pub train: Array2<f32>,
    /// `[N, E]`, where there are dev texts.
    pub dev: Option<Array2<f32>>,
    /// `[K, E]`, where there are label texts.
    pub label_texts: Option<Array2<f32>>,
    /// `[M, E]`, where the head is fitted to texts without labels.
    pub unlabelled: Option<Array2<f32>>,
    /// Whether the encoder has learnt from the train texts.
    pub tuned: bool,
}

/// What gives the vectors of texts.
pub(super) type Read<'a> = dyn Fn(&[&str]) -> Result<Array2<f32>, StageError> + 'a;

impl Texts<'_> {
    /// Returns the vectors of all texts.
    pub(super) fn vectors(&self, read: &Read<'_>) -> Result<Vectors, StageError> {
        let some = |texts: &[&str]| match texts.is_empty() {
            true => Ok(None),
            false => read(texts).map(Some),
        };
        let own: Vec<&str> = self.label_texts.iter().map(String::as_str).collect();
        Ok(Vectors {
            train: read(&texts(self.train))?,
            dev: some(&texts(self.dev))?,
            label_texts: some(&own)?,
            unlabelled: some(&unlabelled(self.unlabelled))?,
            tuned: false,
        })
    }
}

/// Returns the texts of those without labels.
pub(in crate::stages) fn unlabelled(unlabelled: &[Unlabelled]) -> Vec<&str> {
    unlabelled.iter().map(|unlabelled| unlabelled.text.first.as_str()).collect()
}

/// Returns the texts of examples.
pub(in crate::stages) fn texts(examples: &[Example]) -> Vec<&str> {
    examples.iter().map(|example| example.text.first.as_str()).collect()
}

impl Vectors {
    /// Fits a head to the train texts, and tells what was chosen.
    pub(super) fn fit(&self, work: &Work<'_>, settings: &HeadSettings) -> Result<Head, TrainError> {
        let every: Vec<usize> = (0..self.train.nrows()).collect();
        let head = self.with_sample(work, &every, |sample| sample.fit(settings))?;
        if !head.chosen.is_empty() {
            work.ctx.note(&head.chosen);
        }
        Ok(head)
    }

    /// Returns the head whose class vectors are those of the label texts.
    pub(super) fn of_label_texts(&self, work: &Work<'_>) -> Result<Head, TrainError> {
        let every: Vec<usize> = (0..self.train.nrows()).collect();
        let head = self.with_sample(work, &every, |sample| sample.of_label_texts())?;
        work.ctx.note(&head.chosen);
        Ok(head)
    }

    /// Returns the logits `[N, K]` of every train text by a head that was fitted without its fold.
    pub(super) fn held_out(
        &self,
        work: &Work<'_>,
        settings: &HeadSettings,
        folds: &[usize],
    ) -> Result<Array2<f32>, StageError> {
        let mut all = Array2::zeros((folds.len(), work.data.labels().len()));
        for fold in 0..crate::classifiers::folds::count(folds) {
            let (held, others) = parted(folds, fold);
            let head = self.with_sample(work, &others, |sample| sample.fit(settings))?;
            let logits = head.map.kept_logits(&self.train.select(Axis(0), &held));
            for (row, &text) in logits.rows().into_iter().zip(&held) {
                all.row_mut(text).assign(&row);
            }
        }
        Ok(all)
    }

    /// Gives some of the train texts as what a head is fitted to.
    fn with_sample<T>(
        &self,
        work: &Work<'_>,
        texts: &[usize],
        fit: impl FnOnce(&Sample<'_>) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let Work { ctx, data, settings: training, .. } = *work;
        let vectors = self.train.select(Axis(0), texts).mapv(f64::from);
        let label_texts = self.label_texts.as_ref().map(|vectors| vectors.mapv(f64::from));
        let unlabelled = self.unlabelled.as_ref().map(|vectors| vectors.mapv(f64::from));
        let train = &data.splits.train;
        let classes: Vec<usize> = texts.iter().map(|&text| train[text].class()).collect();
        let are_weighted = training.loss.class_weights.is_some() || work.weights.is_some();
        let weights = are_weighted.then(|| {
            let of_class = class_weights(&training.loss, data.labels(), &classes);
            let own = |text: usize| work.weights.map_or(1.0, |weights| weights[text]);
            let both = texts.iter().zip(&classes);
            both.map(|(&text, &class)| own(text) * f64::from(of_class[class])).collect::<Vec<f64>>()
        });
        // The places are in rising order. A text whose original is not among them stands for
        // itself.
        let place = |family: usize| texts.binary_search(&family).ok();
        let all = judged_with(data);
        let families: Vec<Option<usize>> = texts
            .iter()
            .enumerate()
            .map(|(own, &text)| all[text].map(|family| place(family).unwrap_or(own)))
            .collect();
        fit(&Sample {
            vectors: vectors.view(),
            classes: &classes,
            labels: data.labels(),
            label_texts: label_texts.as_ref().map(|vectors| vectors.view()),
            unlabelled: unlabelled.as_ref().map(|vectors| vectors.view()),
            families: &families,
            tuned: self.tuned,
            weights: weights.as_deref(),
            seed: ctx.seed(),
        })
    }

    /// Returns the point of the curves that a head is: its loss on train, and its dev metrics.
    pub(super) fn point(&self, work: &Work<'_>, head: &Head) -> Result<CurvePoint, StageError> {
        let classes = work.data.train_classes();
        let logits = head.map.logits(self.train.mapv(f64::from).view());
        let loss = score(logits.view(), &classes, None).nll;
        let mut point = CurvePoint { step: 1, epoch: 1, loss, ..CurvePoint::default() };
        if let Some(dev) = &self.dev {
            let objective = Classification::new(&work.settings.loss, work.data, Form::Targets)?;
            point.dev = objective.measure(&head.map.kept_logits(dev)).0;
        }
        Ok(point)
    }
}
