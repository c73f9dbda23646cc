//! Predicting texts with a trained model.

use std::sync::Arc;

use ndarray::Array2;
use rand::Rng as _;

use super::predict::{self, longest, tokenizer, tokenizer_of};
use super::texts::Texts;
use super::vector_head::VectorHead;
use super::vectors::{Reader, Reading};
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
        // The cache may have the vectors of an encoder that is as it was.
        if self.frozen.is_some()
            && let Some(read) = self.vectors(ctx, texts)?
        {
            return Ok(read.logits);
        }
        // Models of an ensemble are opened one after the other.
        if let Network::Ensemble(members) = self.network {
            let logits = |(member, share): &(Arc<TrainedModel>, f64)| {
                Ok((member.classifier().logits(ctx, texts, activity)?, *share))
            };
            return pooled(members.iter().map(logits), [texts.len(), self.classes]);
        }
        self.open(ctx)?.logits(ctx, texts, activity)
    }

    /// Opens the network for any number of texts.
    ///
    /// # Errors
    ///
    /// Fails where the engine does, and where the tokenizer does not belong to the network.
    pub fn open(&self, ctx: &dyn Ctx) -> Result<Opened, StageError> {
        let classes = self.classes;
        Ok(match self.network {
            Network::Encoder { pretrained, form } => {
                let config = &pretrained.config;
                let prepared = self.prepared(pretrained)?;
                // What counts the nearest of whole texts has no logits of their windows.
                let by_vectors = self.frozen.is_some() || matches!(form, HeadForm::Nearest(..));
                if by_vectors && let Some(embedder) = form.embedder() {
                    let reader = Reader::open(ctx, pretrained, embedder)?;
                    let width = embedder.width(config.hidden);
                    let head = VectorHead::of(form, &pretrained.vector_head()?, width)?;
                    return Ok(Opened::Vectors { reader, prepared, head });
                }
                let options = NetworkOptions::inference(config, Place::of(ctx.device()));
                let inference = predict::open(ctx, pretrained, (form, classes), options)?;
                Opened::Network { prepared, inference, layout: InputLayout::of(config), classes }
            }
            Network::Ensemble(members) => {
                let open = |(member, share): &(Arc<TrainedModel>, f64)| {
                    Ok((member.classifier().open(ctx)?, *share))
                };
                let members = members.iter().map(open).collect::<Result<_, StageError>>()?;
                Opened::Pool { members, classes }
            }
            Network::Onnx(network) => {
                let prepared = Texts {
                    preparation: self.preparation.clone(),
                    tokenizer: tokenizer_of(&network.files)?,
                    longest: self.max_length,
                };
                let (runtime, place) = (ctx.runtime()?, Place::of(ctx.device()));
                let inference =
                    Inference::of_model(runtime, place, &network.model, &network.output)?;
                Opened::Network { prepared, inference, layout: network.layout, classes }
            }
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

/// A network that is open for texts. What it says of a text depends on no other text.
pub enum Opened {
    /// Up to its logits, of K classes.
    Network { prepared: Texts, inference: Inference, layout: InputLayout, classes: usize },
    /// An encoder, and the head over its vectors.
    Vectors { reader: Reader, prepared: Texts, head: VectorHead },
    /// Models with what each counts.
    Pool { members: Vec<(Opened, f64)>, classes: usize },
}

impl Opened {
    /// Returns the logits `[N, K]` of texts, in their order.
    ///
    /// # Errors
    ///
    /// Fails where the engine does.
    pub fn logits(
        &mut self,
        ctx: &dyn Ctx,
        texts: &[&str],
        activity: &str,
    ) -> Result<Array2<f32>, StageError> {
        match self {
            Opened::Network { prepared, inference, layout, classes } => {
                let tokens = prepared.encode(texts)?;
                if let Some(told) = windows::told(&tokens, prepared.longest) {
                    ctx.note(&told);
                }
                let tokens = (&tokens[..], prepared.preparation.combine());
                predict::logits(ctx, *layout, tokens, *classes, activity, &mut |feeds| {
                    inference.run(feeds)
                })
            }
            Opened::Vectors { reader, prepared, head } => {
                Ok(head.kept_logits(&reader.vectors(ctx, prepared, texts)?))
            }
            Opened::Pool { members, classes } => {
                let logits = |(member, share): &mut (Opened, f64)| {
                    Ok((member.logits(ctx, texts, activity)?, *share))
                };
                pooled(members.iter_mut().map(logits), [texts.len(), *classes])
            }
        }
    }
}

/// Returns the mean log-probabilities `[N, K]` of models, given the logits of each and what it
/// counts: a log-linear pool up to what makes probabilities add up to 1.
fn pooled(
    members: impl Iterator<Item = Result<(Array2<f32>, f64), StageError>>,
    shape: [usize; 2],
) -> Result<Array2<f32>, StageError> {
    let mut sum: Array2<f64> = Array2::zeros(shape);
    for member in members {
        let (logits, share) = member?;
        for (mut row, logits) in sum.rows_mut().into_iter().zip(logits.rows()) {
            let logits = logits.mapv(f64::from);
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total = logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln();
            row.scaled_add(share, &(logits - largest - total));
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
