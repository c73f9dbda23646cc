//! Which parameters are trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::problems::Problems;
use crate::engine::Graph;
use crate::model::Config;
use crate::model::freeze::Frozen;

/// The parameters that are not trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// The whole encoder; only the head is trained.
    Encoder,
    /// All except the head and this many of the encoder's top layers.
    AllButTopLayers(usize),
    /// Parameters whose Hugging Face name matches one of the patterns. `*` matches any text:
    /// `*embeddings.*`. The prefix of the architecture (`bert.`) may be left out.
    Names(Vec<String>),
}

impl Freeze {
    /// Reports settings that no training can be done with.
    pub(in crate::stages) fn check(&self, problems: &mut Problems) {
        if matches!(self, Freeze::Names(patterns) if patterns.is_empty()) {
            problems.add(
                "freeze.names",
                "no pattern is given".to_owned(),
                "leave out `freeze` to train everything",
            );
        }
    }
}

/// Returns which of a network's parameters are trained.
pub(super) fn trainable(
    freeze: Option<&Freeze>,
    config: &Config,
    graph: &Graph,
) -> Result<Vec<String>, TrainError> {
    let frozen = match freeze {
        None => Frozen::Nothing,
        Some(Freeze::Encoder) => Frozen::Encoder,
        Some(Freeze::AllButTopLayers(count)) => Frozen::AllButTopLayers(*count),
        Some(Freeze::Names(patterns)) => Frozen::Names(patterns.clone()),
    };
    // Without adapters, what is put into layers are first weights, which are never trained.
    let own = graph.parameters().filter(|(name, _)| !graph.marks(name).adapter);
    let names: Vec<String> = own.map(|(name, _)| name.to_owned()).collect();
    let is_trained = |name: &&String| frozen.trains(config, name, graph.marks(name));
    let trainable: Vec<String> = names.iter().filter(is_trained).cloned().collect();
    if trainable.is_empty() {
        return Err(TrainError::AllFrozen);
    }
    if let Some(pattern) = frozen.unmatched(config, &names).into_iter().next() {
        let examples: Vec<String> =
            names.iter().step_by(names.len().div_ceil(4)).map(|name| format!("`{name}`")).collect();
        return Err(TrainError::IdlePattern { pattern, examples: examples.join(", ") });
    }
    Ok(trainable)
}
