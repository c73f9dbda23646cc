//! Fine-tuning: the encoder and its head learn together, by cross-entropy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::{Learner, Trained, Work};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::Network;
use crate::stages::train::encoder::{self, Job};
use crate::stages::train::objective::{Classification, Form};
use crate::stages::train::opened::{Ending, Opened};
use crate::stages::train::tokens::Tokens;

/// Trains the encoder and its head together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FineTune {}

impl Learner for FineTune {
    fn name(&self) -> &'static str {
        "fine_tune"
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let Work { ctx, settings, data, .. } = *work;
        let objective = Classification::new(&settings.loss, data, Form::Targets)?;
        let opened = Opened::new(work, Ending::Head)?;
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
        })
    }
}
