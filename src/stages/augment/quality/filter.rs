//! Judging generated texts.

use ndarray::ArrayView1;

use super::config::{Distance, Keep};
use super::spread::{Spread, quantile};
use crate::stages::augment::method::Originals;
use crate::stages::frozen::SentenceEncoder;
use crate::stages::stage::{Ctx, StageError};

/// A train set that no distance can be measured by.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum QualityError {
    #[error("`keep` cannot tell how far real texts are from their class: no class has two texts in train")]
    #[diagnostic(help("bring more texts per class, or leave `keep` out"))]
    NoPairs,

    #[error("`keep` cannot tell near from far: the texts of each class all have the same embedding")]
    #[diagnostic(help("check that the texts differ, or leave `keep` out"))]
    Flat,
}

/// What is thought of a generated text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The distance to its class.
    pub distance: f64,
    pub fate: Fate,
}

/// Whether a generated text is kept, and else why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// It is farther from its class than the quantile.
    TooFar,
    /// Another class is nearer.
    Astray,
}

/// A quality filter that has seen train.
pub struct Filter {
    distance: Distance,
    nearest_class: bool,
    encoder: SentenceEncoder,
    spread: Spread,
    threshold: f64,
    /// The classes that have texts.
    classes: Vec<usize>,
}

impl Filter {
    /// Embeds the original texts of train and takes the measure of them.
    pub fn fit(ctx: &dyn Ctx, keep: &Keep, train: &Originals<'_>) -> Result<Filter, StageError> {
        let mut encoder = SentenceEncoder::new(ctx, &keep.pretrained, keep.pooling, keep.max_length)?;
        let texts: Vec<&str> = train.examples.iter().map(|example| example.text.as_str()).collect();
        let labels: Vec<usize> = train.examples.iter().map(|example| example.label).collect();
        let spread = Spread::of(&encoder.embed(ctx, &texts)?, &labels, train.labels.len());
        let classes = train.by_class();
        if classes.values().all(|texts| texts.len() < 2) {
            return Err(Box::new(QualityError::NoPairs));
        }
        if spread.is_flat() {
            return Err(Box::new(QualityError::Flat));
        }
        let real = match keep.distance {
            Distance::Euclidean => spread.left_out_euclidean(),
            Distance::Mahalanobis => spread.left_out_mahalanobis(),
        };
        let threshold = quantile(real.into_iter().flatten().collect(), keep.quantile);
        Ok(Filter {
            distance: keep.distance,
            nearest_class: keep.nearest_class,
            encoder,
            spread,
            threshold,
            classes: classes.into_keys().collect(),
        })
    }

    /// Judges texts by their classes.
    pub fn judge(
        &mut self,
        ctx: &dyn Ctx,
        texts: &[&str],
        labels: &[usize],
    ) -> Result<Vec<Verdict>, StageError> {
        let embeddings = self.encoder.embed(ctx, texts)?;
        Ok(embeddings.rows().into_iter().zip(labels).map(|(row, &label)| self.verdict(row, label)).collect())
    }

    fn verdict(&self, embedding: ArrayView1<'_, f64>, label: usize) -> Verdict {
        let to = |class: usize| match self.distance {
            Distance::Euclidean => self.spread.euclidean(embedding, class),
            Distance::Mahalanobis => self.spread.mahalanobis(embedding, class),
        };
        let distance = to(label);
        let is_nearest = || self.classes.iter().all(|&class| class == label || to(class) >= distance);
        let fate = if distance > self.threshold || distance.is_nan() {
            Fate::TooFar
        } else if self.nearest_class && !is_nearest() {
            Fate::Astray
        } else {
            Fate::Kept
        };
        Verdict { distance, fate }
    }
}
