//! Predicting texts with a trained model.

use std::sync::Arc;

use ndarray::Array2;
use rand::Rng as _;

use super::predict::{self, longest, tokenizer, tokenizer_of};
use super::texts::Texts;
use super::vector_head::VectorHead;
use super::vectors::Reading;
use crate::base::digest::Digest;

use crate::base::seed::stream;
use crate::engine::backend::binding::Feed;
use crate::engine::{Inference, Place};
use crate::model::input_layout::InputLayout;
use crate::model::sentences::Preparation;
use crate::model::{Dropout, HeadForm, NetworkOptions, Pretrained};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Network, TrainedModel};
use crate::stages::contract::stage::Ctx;
use crate::text::windows;

/// What a head over vectors has read of texts.
#[derive(Clone, Debug)]
pub struct Read {
    /// `[N, E]`
    pub vectors: Array2<f32>,
    /// `[N, K]`
    pub logits: Array2<f32>,
}

/// What the streams of dropout masks are for.
const PASSES: &[&str] = &["predict", "passes"];

/// A network whose passes are all the same.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("passes under dropout are compared, but the model's configuration has no dropout")]
#[diagnostic(help("add `dropout: 0.1`, which passes have too"))]
pub struct NoDropout;

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
                // What counts the nearest of whole texts has no logits of their windows.
                let by_vectors = self.frozen.is_some() || matches!(form, HeadForm::Nearest(..));
                if by_vectors && let Some(vectors) = self.vectors(ctx, texts)? {
                    return Ok(vectors.logits);
                }
                let tokens = self.prepared(pretrained)?.encode(texts)?;
                let options = NetworkOptions::inference(config, Place::of(ctx.device()));
                let inference = predict::open(ctx, pretrained, (form, self.classes), options)?;
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

    /// Returns the vectors of texts that the head reads, and the logits by them; `None` where it is
    /// not a head over vectors.
    ///
    /// # Errors
    ///
    /// Fails as [`Classifier::logits`] does.
    pub fn vectors(&self, ctx: &dyn Ctx, texts: &[&str]) -> Result<Option<Read>, StageError> {
        let Network::Encoder { pretrained, form } = self.network else { return Ok(None) };
        let Some(embedder) = form.embedder() else { return Ok(None) };
        let prepared = self.prepared(pretrained)?;
        let reading = Reading { pretrained, embedder, prepared: &prepared, texts };
        let vectors = match self.frozen {
            Some(identity) => reading.shared(ctx, identity)?,
            None => reading.vectors(ctx)?,
        };
        let head = VectorHead::of(form, &pretrained.vector_head()?, vectors.ncols())?;
        let logits = head.kept_logits(&vectors);
        Ok(Some(Read { vectors, logits }))
    }

    /// Reads texts under dropout, by the rates of the network's configuration, and hands the logits
    /// `[N, K]` of each pass on. A pass draws masks of its own, by the seed.
    ///
    /// # Errors
    ///
    /// Fails where the network has no dropout, and where the engine does.
    pub fn passes(
        &self,
        ctx: &dyn Ctx,
        texts: &[&str],
        passes: u32,
        each: &mut dyn FnMut(&Array2<f32>),
    ) -> Result<(), StageError> {
        let Network::Encoder { pretrained, form } = self.network else {
            return Err(Box::new(NoDropout));
        };
        let (config, place) = (&pretrained.config, Place::of(ctx.device()));
        let rates = [config.hidden_dropout, config.attention_dropout, config.classifier_dropout];
        if rates.iter().all(|rate| *rate == 0.0) {
            return Err(Box::new(NoDropout));
        }
        let dropout = match place {
            Place::Host => Dropout::Keyed,
            Place::Gpu(_) => Dropout::Random(stream(ctx.seed(), PASSES, 0).next_u32()),
        };
        let options = NetworkOptions { dropout, ..NetworkOptions::inference(config, place) };
        let mut inference = predict::open(ctx, pretrained, (form, self.classes), options)?;
        let tokens = self.prepared(pretrained)?.encode(texts)?;
        let tokens = (&tokens[..], self.preparation.combine());
        for pass in 0..passes {
            let mut keys = stream(ctx.seed(), PASSES, u64::from(pass) + 1);
            let activity = format!("pass {} of {passes} under dropout", pass + 1);
            let layout = InputLayout::of(config);
            let logits =
                predict::logits(ctx, layout, tokens, self.classes, &activity, &mut |mut feeds| {
                    let key = keys.next_u64() as i64;
                    feeds.push(("dropout_key".to_owned(), Feed::I64(vec![1], vec![key])));
                    inference.run(feeds)
                })?;
            each(&logits);
        }
        Ok(())
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
