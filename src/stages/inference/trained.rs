//! Predicting texts with a trained model.

use std::sync::Arc;

use ndarray::Array2;

use super::predict::{self, longest, tokenizer, tokenizer_of};
use super::texts::Texts;
use super::vectors::{Reading, logits_of};
use crate::base::digest::Digest;
use crate::engine::{Inference, Place};
use crate::model::input_layout::InputLayout;
use crate::model::sentences::Preparation;
use crate::model::{HeadForm, Pretrained};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Network, TrainedModel};
use crate::stages::contract::stage::Ctx;
use crate::text::windows;

/// A trained network, and what its texts go through.
#[derive(Clone, Copy)]
pub struct Classifier<'a> {
    pub network: &'a Network,
    pub preparation: &'a Preparation,
    /// The longest input in tokens.
    pub max_length: usize,
    /// The identity of the encoder under the head, where training has left it as it was.
    pub frozen: Option<Digest>,
    /// K
    pub classes: usize,
}

impl Classifier<'_> {
    /// Returns the logits `[N, K]` of texts, in their order.
    ///
    /// # Errors
    ///
    /// Fails where the engine does, and where the tokenizer does not belong to the network.
    pub fn logits(
        &self,
        ctx: &dyn Ctx,
        texts: &[&str],
        activity: &str,
    ) -> Result<Array2<f32>, StageError> {
        let (tokens, mut inference, layout) = match self.network {
            Network::Encoder { pretrained, form } => {
                let config = &pretrained.config;
                let prepared = self.prepared(pretrained)?;
                if let (Some(identity), HeadForm::Linear(embedder)) = (self.frozen, form) {
                    let reading = Reading { pretrained, embedder, prepared: &prepared, texts };
                    let vectors = reading.shared(ctx, identity)?;
                    return logits_of(&pretrained.linear_head()?, &vectors);
                }
                let tokens = prepared.encode(texts)?;
                let inference = predict::open(ctx, pretrained, form, self.classes)?;
                (tokens, inference, InputLayout::of(config))
            }
            Network::Ensemble(members) => return pooled(members, ctx, texts, activity),
            Network::Onnx(network) => {
                let prepared = Texts {
                    preparation: self.preparation.clone(),
                    tokenizer: tokenizer_of(&network.files)?,
                    longest: self.max_length,
                };
                let tokens = prepared.encode(texts)?;
                let (runtime, place) = (ctx.runtime()?, Place::of(ctx.device()));
                let inference =
                    Inference::of_model(runtime, place, &network.model, &network.output)?;
                (tokens, inference, network.layout)
            }
        };
        if let Some(told) = windows::told(&tokens, self.max_length) {
            ctx.note(&told);
        }
        let tokens = (&tokens[..], self.preparation.combine());
        predict::logits(ctx, layout, tokens, self.classes, activity, &mut |feeds| {
            inference.run(feeds)
        })
    }

    /// Returns the way from texts to the tokens of an encoder.
    fn prepared(&self, pretrained: &Pretrained) -> Result<Texts, StageError> {
        Ok(Texts {
            preparation: self.preparation.clone(),
            tokenizer: tokenizer(pretrained)?,
            longest: longest(&pretrained.config, self.max_length),
        })
    }
}

/// Returns the mean log-probabilities `[N, K]` of models, with what each counts: a log-linear pool
/// up to what makes probabilities add up to 1.
fn pooled(
    members: &[(Arc<TrainedModel>, f64)],
    ctx: &dyn Ctx,
    texts: &[&str],
    activity: &str,
) -> Result<Array2<f32>, StageError> {
    let classes = members.first().map_or(0, |(member, _)| member.labels.len());
    let mut sum: Array2<f64> = Array2::zeros((texts.len(), classes));
    for (member, share) in members {
        let logits = member.classifier().logits(ctx, texts, activity)?;
        for (mut row, logits) in sum.rows_mut().into_iter().zip(logits.rows()) {
            let logits = logits.mapv(f64::from);
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total = logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln();
            row.scaled_add(*share, &(logits - largest - total));
        }
    }
    Ok(sum.mapv(|value| value as f32))
}

impl TrainedModel {
    /// Returns what predicts with the model.
    pub fn classifier(&self) -> Classifier<'_> {
        Classifier {
            network: &self.network,
            preparation: &self.preparation,
            max_length: self.max_length,
            frozen: self.frozen,
            classes: self.labels.len(),
        }
    }
}
