//! Which backend trains a recipe, and why.

use super::adapters::Adapters;
use super::optimizer::Optimizer;
use super::settings::{Backend, Settings};
use crate::engine::{Precision, Runtime};

/// One of the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    Session,
    TrainingApi,
}

/// The backend that trains, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub backend: Chosen,
    pub reason: String,
}

/// What in a recipe the training API cannot do: it has one optimizer, with one learning rate and
/// one weight decay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where in the configuration.
    pub field: &'static str,
    pub reason: &'static str,
    /// What would make the recipe fit.
    pub remedy: &'static str,
}

impl Choice {
    /// Decides for a recipe that was checked. `resumable` says whether the training API's
    /// checkpoint would hold the model with its moments.
    pub fn new(train: &Settings, runtime: &Runtime, resumable: bool) -> Choice {
        let session = |reason: String| Choice { backend: Chosen::Session, reason };
        match train.backend {
            Backend::Session => session("requested".into()),
            Backend::TrainingApi => {
                Choice { backend: Chosen::TrainingApi, reason: "requested".into() }
            }
            Backend::Auto if !runtime.identity.has_training_api => {
                session("the library has no training API".into())
            }
            Backend::Auto if !resumable => {
                session("the model is too large for a checkpoint of the training API".into())
            }
            Backend::Auto => match misfit(train) {
                Some(misfit) => session(misfit.reason.into()),
                None => Choice {
                    backend: Chosen::TrainingApi,
                    reason: "the library has the training API, and the recipe fits".into(),
                },
            },
        }
    }

    /// Returns the backend's name, as files and tables have it.
    pub fn name(&self) -> &'static str {
        match self.backend {
            Chosen::Session => "session",
            Chosen::TrainingApi => "training_api",
        }
    }
}

/// Returns what keeps a recipe from the training API.
pub fn misfit(train: &Settings) -> Option<Misfit> {
    let Optimizer::Adamw(adamw) = &train.optimizer else {
        return Some(Misfit {
            field: "optimizer",
            reason: "the training API has no SGD with momentum and weight decay",
            remedy: "use `adamw`, or `backend: session`",
        });
    };
    let rows = [
        (
            adamw.head_learning_rate.is_some_and(|rate| rate != adamw.rate()),
            "optimizer.adamw.head_learning_rate",
            "the training API has one learning rate, but the head has its own",
            "leave `head_learning_rate` out, or train with `backend: session`",
        ),
        (
            adamw.layer_decay.is_some(),
            "optimizer.adamw.layer_decay",
            "the training API has one learning rate, but each layer has its own",
            "leave `layer_decay` out, or train with `backend: session`",
        ),
        (
            train.adapters.as_ref().is_some_and(|adapters| *adapters != Adapters::Bitfit),
            "adapters",
            "the training API trains networks without adapters here",
            "leave `adapters` out, use `bitfit`, or train with `backend: session`",
        ),
        (
            train.precision != Precision::Fp32,
            "precision",
            "the training API trains only in single precision here",
            "leave `precision` out, or train with `backend: session`",
        ),
        (
            train.loss.r_drop.is_some() || train.loss.mixup.is_some(),
            if train.loss.r_drop.is_some() { "loss.r_drop" } else { "loss.mixup" },
            "the training API has plain cross-entropy here",
            "leave `r_drop` and `mixup` out, or train with `backend: session`",
        ),
        (
            train.regularise.is_some(),
            "regularise",
            "the training API's update does not know the first weights",
            "leave `regularise` out, or train with `backend: session`",
        ),
        (
            train.average.is_some(),
            "average",
            "the training API does not show its weights after each step here",
            "leave `average` out, or train with `backend: session`",
        ),
        (
            train.windows.is_some(),
            "windows",
            "the training API takes one row for each text here",
            "leave `windows` out, or train with `backend: session`",
        ),
        (
            train.max_tokens_per_step.is_some(),
            "max_tokens_per_step",
            "the training API computes only whole batches here",
            "leave `max_tokens_per_step` out, or train with `backend: session`",
        ),
        (
            adamw.weight_decay != 0.0 && !adamw.decay_all,
            "optimizer.adamw",
            "the training API has one weight decay, but biases and LayerNorm are exempt",
            "add `decay_all: true` or `weight_decay: 0`, or use `backend: session`",
        ),
    ];
    let (_, field, reason, remedy) = rows.into_iter().find(|row| row.0)?;
    Some(Misfit { field, reason, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::train::config::Train;

    #[test]
    fn one_rate_and_one_decay_fit() -> Result<(), serde_json::Error> {
        let fits = |optimizer: serde_json::Value| {
            let train = serde_json::json!({
                "data": "data", "model": { "pretrained": "x" }, "optimizer": optimizer,
            });
            serde_json::from_value::<Train>(train)
                .map(|train| misfit(&train.settings()).map(|misfit| misfit.field))
        };
        assert_eq!(fits(serde_json::json!({ "adamw": {} }))?, Some("optimizer.adamw"));
        assert_eq!(fits(serde_json::json!({ "adamw": { "weight_decay": 0.0 } }))?, None);
        assert_eq!(fits(serde_json::json!({ "adamw": { "decay_all": true } }))?, None);
        assert_eq!(
            fits(serde_json::json!({ "adamw": { "decay_all": true, "head_learning_rate": 1.0 } }))?,
            Some("optimizer.adamw.head_learning_rate")
        );
        assert_eq!(
            fits(serde_json::json!({ "sgd": { "learning_rate": 0.1 } }))?,
            Some("optimizer")
        );
        Ok(())
    }
}
