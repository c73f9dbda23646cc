//! Fine-tuning: the encoder and its head learn together, by cross-entropy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Trained, Work};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::TrainingSummary;
use crate::stages::train::encoder::{self, Job};
use crate::stages::train::objective::{Classification, Form};
use crate::stages::train::opened::{Ending, Opened};
use crate::stages::train::tokens::Tokens;
use crate::stages::train::vectors::Texts;

/// Trains the encoder and its head together.
///
/// With `label_texts`, the head is a linear layer over vectors of length 1, and begins with the
/// vectors of the labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FineTune {}

impl Learner for FineTune {
    fn name(&self) -> &'static str {
        "fine_tune"
    }

    fn config(&self) -> Value {
        json!(self)
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let data = work.data;
        let label_texts = work.settings.label_texts(work.ctx, data.labels())?;
        if label_texts.is_empty() {
            return train(work, Opened::new(work, Ending::Head)?);
        }
        let mut opened = Opened::new(work, Ending::Vectors)?;
        let train_texts = &data.splits.train;
        let texts = Texts { train: train_texts, label_texts: &label_texts, ..Texts::default() };
        let vectors = texts.vectors(&|texts| opened.shared(work, texts))?;
        let head = vectors.of_label_texts(work)?;
        opened.put_on(&head.map)?;
        let mut trained = train(work, opened)?;
        trained.summary.chosen = head.chosen;
        Ok(trained)
    }
}

/// Trains an encoder that was opened, and the head in its weights.
pub(super) fn train(work: &Work<'_>, mut opened: Opened) -> Result<Trained, StageError> {
    let Work { ctx, settings, data, .. } = *work;
    let objective = Classification::new(&settings.loss, data, Form::Targets)?;
    let objective = objective.weighted(work.weights);
    let tokens = Tokens::new(ctx, (&data.splits.train, &data.splits.dev), &opened.texts)?;
    let weights = opened.pretrained.weights.take()?;
    let job = Job {
        settings,
        device: ctx.device(),
        config: &opened.pretrained.config,
        form: &opened.form,
        objective: &objective,
        train_tokens: &tokens.train,
        dev_tokens: &tokens.dev,
    };
    let tuned = encoder::run(ctx, ctx.runtime()?, &job, weights)?;
    let truncated_share = tokens.truncated_share;
    let summary = TrainingSummary { truncated_share, ..tuned.summary(ctx, settings) };
    opened.pretrained.weights = tuned.weights.into();
    Ok(opened.into_trained(tuned.fitted.curves, summary, None, tuned.adapter))
}
