//! The models of an ensemble: what they must have in common, and what their trainings took.

use std::sync::Arc;

use indexmap::IndexSet;

use super::error::EnsembleError;
use crate::base::cut::cut;
use crate::data::{DataSet, Seen, Split};
use crate::stages::contract::output::{TrainedModel, TrainingSummary};

/// The most characters of labels in a message.
const SHOWN: usize = 200;

/// A model with its name for people, in backquotes.
pub(super) struct Member {
    pub name: String,
    pub model: Arc<TrainedModel>,
}

/// Checks that all models have the same labels, and returns these.
pub(super) fn labels(members: &[Member]) -> Result<Vec<String>, EnsembleError> {
    let Some(first) = members.first() else { return Ok(Vec::new()) };
    let shown = |labels: &[String]| cut(&format!("`{}`", labels.join("`, `")), SHOWN);
    match members.iter().find(|member| member.model.labels != first.model.labels) {
        None => Ok(first.model.labels.clone()),
        Some(other) => Err(EnsembleError::OtherClasses {
            first: first.name.clone(),
            expected: shown(&first.model.labels),
            other: other.name.clone(),
            found: shown(&other.model.labels),
        }),
    }
}

/// Returns the texts that any of the models has learnt from.
pub(super) fn seen(members: &[Member]) -> Seen {
    let mut seen = Seen::default();
    members.iter().for_each(|member| seen.add(&member.model.seen));
    seen
}

/// Adds the dev texts by which models were chosen, and what the data were made from.
pub(super) fn add_dev(seen: &mut Seen, data: &DataSet) {
    for example in &data.splits.dev {
        seen.add_text(Split::Dev, &example.text.joined());
    }
    seen.add(&data.seen);
}

/// Adds up what the trainings of the models took: every model was trained, whatever becomes of it.
/// They are not trained together, so the memory is the most that any of them took.
pub(super) fn summary(members: &[Member]) -> TrainingSummary {
    let all = || members.iter().map(|member| &member.model.summary);
    let joined = |field: fn(&TrainingSummary) -> &str| {
        let distinct: IndexSet<&str> = all().map(field).collect();
        distinct.into_iter().collect::<Vec<_>>().join(", ")
    };
    TrainingSummary {
        steps: all().map(|summary| summary.steps).sum(),
        seconds: all().map(|summary| summary.seconds).sum(),
        backend: joined(|summary| &summary.backend),
        backend_reason: joined(|summary| &summary.backend_reason),
        initial_weights: joined(|summary| &summary.initial_weights),
        device: joined(|summary| &summary.device),
        trainable_parameters: all().map(|summary| summary.trainable_parameters).sum(),
        parameters: all().map(|summary| summary.parameters).sum(),
        truncated_share: all().map(|summary| summary.truncated_share).fold(0.0, f64::max),
        encodings: all().map(|summary| summary.encodings).sum(),
        peak_memory: all().map(|summary| summary.peak_memory).max().flatten(),
        augmentation: all().find_map(|summary| summary.augmentation),
        ..TrainingSummary::default()
    }
}
