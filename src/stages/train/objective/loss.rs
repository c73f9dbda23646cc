//! Cross-entropy over the classes: its settings, and the targets that carry class weights, label
//! smoothing and the division by the batch.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mixup::Mixup;
use super::r_drop::RDrop;
use crate::data::DataSet;
use crate::stages::train::error::TrainError;
use crate::stages::train::problems::Problems;

/// Cross-entropy over the classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The label smoothing ε: the share of the target that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f32,
    /// The weights of the classes. Default: all equal.
    #[serde(default)]
    pub class_weights: Option<ClassWeights>,
    /// R-Drop (Wu et al. 2021): reads each text of a batch twice, under other dropout masks, and
    /// adds α/2 · (KL(p‖q) + KL(q‖p)) of both predictions to the mean of their cross-entropies. It
    /// is the mean over the texts. A step reads twice as many texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r_drop: Option<RDrop>,
    /// Mixup of vectors (Guo et al. 2019): what the last layer reads of a text is mixed with that
    /// of another of the batch, by shares from Beta(α, α), and so are their targets; or, with `at:
    /// { layers: … }`, the states within the encoder. Batches that are computed in parts are mixed
    /// within the parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixup: Option<Mixup>,
}

/// The weights of the classes in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// n / (K · n_c): all classes have the same total weight (scikit-learn's `balanced`).
    Balanced,
    /// A weight for every label.
    Given(IndexMap<String, f32>),
}

impl Loss {
    /// Reports settings that no training can be done with.
    pub(in crate::stages::train) fn check(&self, problems: &mut Problems) {
        problems.share("loss.label_smoothing", f64::from(self.label_smoothing), false);
        if let Some(r_drop) = self.r_drop {
            r_drop.check(problems);
        }
        if let Some(mixup) = &self.mixup {
            mixup.check(problems);
        }
        if self.r_drop.is_some() && self.mixup.is_some() {
            problems.add(
                "loss.mixup",
                "`r_drop` compares two predictions of one text, but `mixup` mixes texts".to_owned(),
                "leave one of them out",
            );
        }
        let Some(ClassWeights::Given(weights)) = &self.class_weights else { return };
        for (label, &weight) in weights {
            if !(weight.is_finite() && weight >= 0.0) {
                problems.add(
                    &format!("loss.class_weights.given.{label}"),
                    format!("expected a weight of 0 or more, found {weight}"),
                    "",
                );
            }
        }
    }
}

/// Checks that given class weights name the labels of the data, each of them.
pub(in crate::stages::train) fn check_labels(
    loss: &Loss,
    data: &DataSet,
) -> Result<(), TrainError> {
    let Some(ClassWeights::Given(weights)) = &loss.class_weights else { return Ok(()) };
    if let Some(name) = weights.keys().find(|name| !data.labels().contains(name)) {
        return Err(TrainError::UnknownClass {
            name: name.clone(),
            labels: data.labels().join(", "),
        });
    }
    match data.labels().iter().find(|label| !weights.contains_key(*label)) {
        Some(name) => Err(TrainError::MissingClass { name: name.clone() }),
        None => Ok(()),
    }
}

/// Returns what each class counts: 1 throughout, n/(K·n_c) over texts of these classes, or as
/// given. A class without a text counts 0 when balanced.
pub(in crate::stages::train) fn class_weights(
    loss: &Loss,
    labels: &[String],
    texts: &[usize],
) -> Vec<f32> {
    let classes = labels.len();
    match &loss.class_weights {
        None => vec![1.0; classes],
        Some(ClassWeights::Given(weights)) => {
            labels.iter().map(|label| weights.get(label).copied().unwrap_or(1.0)).collect()
        }
        Some(ClassWeights::Balanced) => {
            let mut counts = vec![0usize; classes];
            for &class in texts {
                counts[class] += 1;
            }
            let weight = |count| match count {
                0 => 0.0,
                _ => texts.len() as f32 / (classes * count) as f32,
            };
            counts.into_iter().map(weight).collect()
        }
    }
}

/// A text in the loss: its class, and how much it counts beside the weight of that.
pub(super) type Counted = (usize, f32);

/// Returns what a batch counts: the sum of its texts' weights.
pub(super) fn weight(texts: &[Counted], weights: &[f32]) -> f32 {
    texts.iter().map(|&(label, counts)| weights[label] * counts).sum()
}

/// Returns the targets `[B, K]` for which −Σ targets·log softmax(logits) is the share that these
/// examples have in PyTorch's `CrossEntropyLoss(weight, label_smoothing)` with mean reduction over
/// a batch that counts `total`; each text's loss and weight are taken as often as it counts.
pub(super) fn targets(texts: &[Counted], weights: &[f32], smoothing: f32, total: f32) -> Vec<f32> {
    let scale = if total > 0.0 { 1.0 / total } else { 0.0 };
    let row = |&(label, counts): &Counted| {
        let row = row(label, weights, smoothing).into_iter();
        row.map(move |target| target * counts * scale).collect::<Vec<f32>>()
    };
    texts.iter().flat_map(row).collect()
}

/// Returns the targets `[K]` of one text before the division by the batch's weight.
pub(super) fn row(label: usize, weights: &[f32], smoothing: f32) -> Vec<f32> {
    let classes = weights.len() as f32;
    let target = |(class, weight): (usize, &f32)| {
        let own = if class == label { (1.0 - smoothing) * weight } else { 0.0 };
        own + smoothing / classes * weight
    };
    weights.iter().enumerate().map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// −Σ targets·log softmax(logits) for logits [[1, 2, 0.5], [0, -1, 3]], labels [2, 0], against
    /// torch 2.15 `CrossEntropyLoss(weight=[1, 2, 0.5], label_smoothing=0.1)`.
    #[test]
    fn is_pytorchs_weighted_smoothed_mean() {
        let logits = [[1.0f64, 2.0, 0.5], [0.0, -1.0, 3.0]];
        let loss = |weights: &[f32], smoothing: f32| {
            let texts = [(2, 1.0), (0, 1.0)];
            let targets = targets(&texts, weights, smoothing, weight(&texts, weights));
            let mut loss = 0.0;
            for (row, logits) in logits.iter().enumerate() {
                let normalizer = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
                for (class, logit) in logits.iter().enumerate() {
                    loss -= f64::from(targets[row * 3 + class]) * (logit - normalizer);
                }
            }
            loss
        };
        for (weights, smoothing, expected) in RECORDED {
            assert!(
                (loss(&weights, smoothing) - expected).abs() < 1e-6,
                "{weights:?} {smoothing}: {} {expected}",
                loss(&weights, smoothing)
            );
        }
    }

    const RECORDED: [([f32; 3], f32, f64); 3] = [
        ([1.0, 1.0, 1.0], 0.0, 2.515_126_343_9),
        ([1.0, 1.0, 1.0], 0.1, 2.448_459_677_3),
        ([1.0, 2.0, 0.5], 0.1, 2.753_416_186_5),
    ];
}
