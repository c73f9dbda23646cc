//! The filter for generated texts.

use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

use super::config::{Distance, Keep};
use super::spread::{Spread, quantile};
use crate::stages::augment::methods::contract::Originals;
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;
use crate::stages::inference::frozen::SentenceEncoder;

/// A train set without a usable distance.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum QualityError {
    #[error(
        "`keep` cannot measure how far real texts are from their class: no class has two texts in \
         train"
    )]
    #[diagnostic(help("add more texts per class, or leave `keep` out"))]
    NoPairs,

    #[error("`keep` cannot estimate distances: classes have too few distinct texts")]
    #[diagnostic(help("add more texts per class, or leave `keep` out"))]
    Flat,
}

/// The verdict on a generated text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The distance to its class.
    pub distance: f64,
    pub fate: Fate,
}

/// Whether a generated text is kept, or why it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// The distance to its class is above the quantile.
    TooFar,
    /// Another class is nearer.
    Astray,
}

/// A quality filter that is fitted to train.
pub struct Filter {
    encoder: SentenceEncoder,
    measure: Measure,
}

impl Filter {
    /// Embeds the original texts of train and measures their distances.
    pub fn fit(ctx: &dyn Ctx, keep: &Keep, train: &Originals<'_>) -> Result<Filter, StageError> {
        let Keep { pretrained, pooling, prompt, max_length, windows, .. } = keep;
        let bounds = (*max_length, *windows);
        let mut encoder = SentenceEncoder::new(ctx, pretrained, *pooling, prompt, bounds)?;
        let texts: Vec<&str> =
            train.examples.iter().map(|example| example.text.first.as_str()).collect();
        let labels: Vec<usize> = train.examples.iter().map(|example| example.class()).collect();
        let embeddings = encoder.embed_telling(ctx, &texts)?;
        let measure = Measure::of(keep, &embeddings, &labels, train.labels.len())?;
        Ok(Filter { encoder, measure })
    }

    /// Judges texts by their classes.
    pub fn judge(
        &mut self,
        ctx: &dyn Ctx,
        texts: &[&str],
        labels: &[usize],
    ) -> Result<Vec<Verdict>, StageError> {
        let embeddings = self.encoder.embed(ctx, texts)?;
        let judge = |index: usize| self.measure.judge(embeddings.row(index), labels[index]);
        Ok((0..labels.len()).into_par_iter().map(judge).collect())
    }
}

/// The distances of real texts to their classes.
struct Measure {
    distance: Distance,
    nearest_class: bool,
    spread: Spread,
    threshold: f64,
}

impl Measure {
    fn of(
        keep: &Keep,
        embeddings: &Array2<f64>,
        labels: &[usize],
        classes: usize,
    ) -> Result<Measure, QualityError> {
        let spread = Spread::of(embeddings, labels, classes);
        if !spread.has_pairs() {
            return Err(QualityError::NoPairs);
        }
        let real = match keep.distance {
            _ if spread.is_flat() => Vec::new(),
            Distance::Euclidean => spread.left_out_euclidean(),
            Distance::Mahalanobis => spread.left_out_mahalanobis(),
        };
        let real: Vec<f64> = real.into_iter().flatten().collect();
        if real.is_empty() {
            return Err(QualityError::Flat);
        }
        let threshold = quantile(real, keep.quantile);
        Ok(Measure {
            distance: keep.distance,
            nearest_class: keep.nearest_class,
            spread,
            threshold,
        })
    }

    fn judge(&self, embedding: ArrayView1<'_, f64>, label: usize) -> Verdict {
        let distances = match self.distance {
            Distance::Euclidean => self.spread.euclidean(embedding),
            Distance::Mahalanobis => self.spread.mahalanobis(embedding),
        };
        let distance = distances[label];
        let is_nearest = || distances.iter().all(|other| *other >= distance);
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    fn keep(settings: &str) -> Keep {
        serde_json::from_str(settings).expect("settings")
    }

    /// Two classes on a line, around 0 and around 10.
    fn judge(settings: &str, place: f64, label: usize) -> Verdict {
        let embeddings =
            arr2(&[[-1.0, 0.1], [0.0, -0.1], [1.0, 0.1], [9.0, 0.0], [10.0, 0.1], [11.0, -0.1]]);
        let measure =
            Measure::of(&keep(settings), &embeddings, &[0, 0, 0, 1, 1, 1], 2).expect("a measure");
        measure.judge(arr1(&[place, 0.0]).view(), label)
    }

    #[test]
    fn what_is_near_is_kept_and_what_is_far_or_of_another_class_is_not() {
        for distance in ["euclidean", "mahalanobis"] {
            let settings = format!(r#"{{"distance": "{distance}", "quantile": 1.0}}"#);
            assert_eq!(judge(&settings, 0.5, 0).fate, Fate::Kept, "{distance}");
            assert_eq!(judge(&settings, 10.5, 1).fate, Fate::Kept, "{distance}");
            assert_eq!(judge(&settings, 4.0, 0).fate, Fate::TooFar, "{distance}");
            assert!(judge(&settings, 4.0, 0).distance > judge(&settings, 1.0, 0).distance);
        }
        // The farthest of the three texts of a class is 1.5 from the mean of the other two, the
        // middle one 0.
        let wide = r#"{"distance": "euclidean", "quantile": 1.0}"#;
        let narrow = r#"{"distance": "euclidean", "quantile": 0.1}"#;
        assert_eq!(
            (judge(wide, 1.2, 0).fate, judge(narrow, 1.2, 0).fate),
            (Fate::Kept, Fate::TooFar)
        );
    }

    #[test]
    fn another_class_may_be_nearer_unless_it_may_not() {
        let embeddings = arr2(&[[-6.0, 0.0], [6.0, 0.1], [7.0, 0.0], [8.0, 0.1]]);
        let measure = |nearest_class: bool| {
            let keep = keep(&format!(
                r#"{{"distance": "euclidean", "quantile": 1.0, "nearest_class": {nearest_class}}}"#
            ));
            Measure::of(&keep, &embeddings, &[0, 0, 1, 1], 2).expect("a measure")
        };
        let place = arr1(&[7.0, 0.0]);
        assert_eq!(measure(true).judge(place.view(), 0).fate, Fate::Astray);
        assert_eq!(measure(false).judge(place.view(), 0).fate, Fate::Kept);
    }

    #[test]
    fn too_few_texts_or_too_like_ones_have_no_measure() {
        let fails = |rows: &[[f64; 3]], labels: &[usize]| {
            let embeddings =
                Array2::from_shape_fn((rows.len(), 3), |(row, column)| rows[row][column]);
            Measure::of(&keep("{}"), &embeddings, labels, 2)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(
            fails(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], &[0, 1]).contains("no class has two texts")
        );
        assert!(fails(&[[1.0, 0.0, 0.0]; 4], &[0, 0, 1, 1]).contains("cannot estimate distances"));
        // Only one pair differs: without either text no measure is left.
        let one_pair = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
        assert!(fails(&one_pair, &[0, 0, 1]).contains("cannot estimate distances"));
    }
}
