//! Fine-tuning: the encoder and its head learn together, by cross-entropy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Trained, Work};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::Network;
use crate::stages::inference::vectors::Reading;
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
        let Work { ctx, settings, data, identity, .. } = *work;
        let label_texts = settings.label_texts.of(ctx, data.labels())?;
        if label_texts.is_empty() {
            return train(work, Opened::new(work, Ending::Head)?);
        }
        let mut opened = Opened::new(work, Ending::Vectors)?;
        opened.pretrained.weights = std::mem::take(&mut opened.weights);
        let texts = Texts { data, label_texts: &label_texts, unlabelled: &[] };
        let (pretrained, prepared) = (&opened.pretrained, &opened.texts);
        let embedder = Opened::embedder(&opened.form)?;
        let vectors = texts.vectors(&|texts| {
            Reading { pretrained, embedder, prepared, texts }.shared(ctx, identity)
        })?;
        let head = vectors.of_label_texts(work)?;
        opened.weights = std::mem::take(&mut opened.pretrained.weights);
        opened.weights.extend(head.weights());
        let mut trained = train(work, opened)?;
        trained.summary.chosen = head.chosen;
        Ok(trained)
    }
}

/// Trains an encoder that was opened, and the head in its weights.
pub(super) fn train(work: &Work<'_>, opened: Opened) -> Result<Trained, StageError> {
    let Work { ctx, settings, data, .. } = *work;
    let objective = Classification::new(&settings.loss, data, Form::Targets)?;
    let tokens = Tokens::new(ctx, data, &opened.texts)?;
    let job = Job {
        settings,
        device: ctx.device(),
        config: &opened.pretrained.config,
        form: &opened.form,
        objective: &objective,
        train_tokens: &tokens.train,
        dev_tokens: &tokens.dev,
    };
    let tuned = encoder::run(ctx, ctx.runtime()?, &job, opened.weights)?;
    let mut summary = tuned.summary(ctx, settings);
    summary.initial_weights = opened.told;
    summary.truncated_share = tokens.truncated_share;
    let mut pretrained = opened.pretrained;
    pretrained.weights = tuned.weights;
    Ok(Trained {
        network: Network::Encoder { pretrained: Box::new(pretrained), form: opened.form },
        preparation: opened.texts.preparation,
        longest: opened.texts.longest,
        curves: tuned.fitted.curves,
        summary,
        frozen: None,
        adapter: tuned.adapter,
    })
}
