//! Pretrained encoders as they are, without any training: sentence embeddings and masked words.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, Axis};

use super::predict::{self, longest};
use super::texts::{Texts, shown};
use crate::base::report::Progress;
use crate::engine::backend::binding::Feed;
use crate::engine::{EngineError, Inference, Place};
use crate::model::input_layout::InputLayout;
use crate::model::masked::{MaskedHead, ROWS};
use crate::model::source::resolve;
use crate::model::{Config, Head, NetworkOptions, Pretrained, Prompt, network};
use crate::stages::contract::error::{Interrupted, StageError};
use crate::stages::contract::stage::Ctx;
use crate::text::{TokenizedText, Tokenizer, Windows, batch, windows};

/// Texts per batch, and places that logits are asked for.
const BATCH: usize = 32;
const PLACES: usize = 256;

/// An encoder whose states are not numbers.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "the embedding of the text `{text}` by `{encoder}` has no direction: it is zero, or has NaN or \
     infinite values"
)]
#[diagnostic(help("the encoder's weights may be damaged; fetch the model again"))]
pub struct NoDirection {
    pub encoder: String,
    pub text: String,
}

/// A sentence encoder.
pub struct SentenceEncoder {
    reference: String,
    config: Config,
    texts: Texts,
    inference: Inference,
    /// The width of an embedding.
    width: usize,
}

impl SentenceEncoder {
    /// Reads a pretrained encoder; see [`crate::model::source::resolve`].
    pub fn new(
        ctx: &dyn Ctx,
        reference: &str,
        pooling: Head,
        prompt: &Prompt,
        (max_length, windows): (Option<usize>, Option<Windows>),
    ) -> Result<SentenceEncoder, StageError> {
        let folder = resolve::resolve(reference, ctx.folder(), ctx)?;
        let pretrained = Pretrained::read(&folder)?;
        let embedder = pretrained.embedder(pooling)?;
        let prompt = pretrained.prompt(prompt, pooling == Head::Auto, &folder)?;
        let secrets = ctx.secrets();
        let with = prompt.as_deref().map_or(String::new(), |text| format!(" with {}", shown(text)));
        let line = format!("`{reference}`: texts{with} are embedded by {embedder}");
        ctx.note(&secrets.hide(&line));
        let graph = network::embedding(
            &pretrained.config,
            &embedder,
            NetworkOptions::inference(&pretrained.config, Place::of(ctx.device())),
        )
        .map_err(EngineError::from)?;
        let texts = Texts::of(&pretrained, prompt, max_length, windows)?;
        texts.warn_of_contradictions(ctx, reference, &pretrained.beside);
        Ok(SentenceEncoder {
            reference: reference.to_owned(),
            texts,
            inference: predict::session(ctx, &graph, &pretrained.weights)?,
            width: embedder.width(pretrained.config.hidden),
            config: pretrained.config,
        })
    }

    /// Returns the embeddings of texts as [`SentenceEncoder::embed`] does, and says how many of
    /// them are cut, or are read in windows.
    pub fn embed_telling(
        &mut self,
        ctx: &dyn Ctx,
        texts: &[&str],
    ) -> Result<Array2<f64>, StageError> {
        let tokens = self.texts.encode(texts)?;
        let (reference, longest) = (&self.reference, self.texts.longest);
        let cut = tokens.iter().filter(|text| text.truncated).count();
        if cut > 0 {
            let all = tokens.len();
            let line = format!("{cut} of {all} texts are truncated to {longest} tokens");
            ctx.note(&ctx.secrets().hide(&format!("`{reference}`: {line}")));
        }
        if let Some(told) = windows::told(&tokens, longest) {
            ctx.note(&ctx.secrets().hide(&format!("`{reference}`: {told}")));
        }
        self.embeddings(ctx, texts, &tokens)
    }

    /// Returns the embeddings `[N, E]` of texts in their order, each of length 1.
    pub fn embed(&mut self, ctx: &dyn Ctx, texts: &[&str]) -> Result<Array2<f64>, StageError> {
        let tokens = self.texts.encode(texts)?;
        self.embeddings(ctx, texts, &tokens)
    }

    fn embeddings(
        &mut self,
        ctx: &dyn Ctx,
        texts: &[&str],
        tokens: &[TokenizedText],
    ) -> Result<Array2<f64>, StageError> {
        let (layout, width) = (InputLayout::of(&self.config), self.width);
        let tokens = (tokens, self.texts.preparation.combine());
        let states = predict::logits(ctx, layout, tokens, width, "embedding", &mut |feeds| {
            self.inference.run(feeds)
        })?;
        let mut embeddings = states.mapv(f64::from);
        for (mut row, text) in embeddings.rows_mut().into_iter().zip(texts) {
            let norm = row.dot(&row).sqrt();
            if !(norm.is_finite() && norm > 0.0) {
                let text = text.chars().take(40).collect();
                return Err(Box::new(NoDirection { encoder: self.reference.clone(), text }));
            }
            row.mapv_inplace(|value| value / norm);
        }
        Ok(embeddings)
    }
}

/// A masked language model.
pub struct MaskedModel {
    pub config: Config,
    pub tokenizer: Arc<Tokenizer>,
    head: MaskedHead,
    inference: Mutex<Inference>,
}

impl MaskedModel {
    /// Opens a pretrained encoder with the masked-language-model head that its folder has; see
    /// [`MaskedHead::of`].
    pub fn new(ctx: &dyn Ctx, pretrained: &Pretrained) -> Result<MaskedModel, StageError> {
        let head = MaskedHead::of(&pretrained.config, &pretrained.weights)?;
        let graph = head.graph(
            &pretrained.config,
            NetworkOptions::inference(&pretrained.config, Place::of(ctx.device())),
        )?;
        Ok(MaskedModel {
            config: pretrained.config.clone(),
            tokenizer: predict::tokenizer(pretrained)?,
            head,
            inference: Mutex::new(predict::session(ctx, &graph, &pretrained.weights)?),
        })
    }

    /// Says whether the folder has a trained head.
    pub fn has_trained_head(&self) -> bool {
        self.head.is_trained()
    }

    /// Tokenizes texts, cut to what the model takes.
    pub fn tokenize(&self, texts: &[&str]) -> Result<Vec<TokenizedText>, StageError> {
        Ok(self.tokenizer.encode(texts, longest(&self.config, usize::MAX))?)
    }

    /// Gives `use_logits` the logits of the tokens at these places of each text: the number of the
    /// text, which of its places it is, and its row `[V]`.
    pub fn predict(
        &self,
        ctx: &dyn Ctx,
        texts: &[TokenizedText],
        places: &[Vec<usize>],
        use_logits: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), StageError> {
        let layout = InputLayout::of(&self.config);
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let mut done = 0;
        let order = batch::in_order_by_length(&lengths, texts.len()).concat();
        let mut order = order.as_slice();
        while !order.is_empty() {
            if ctx.interrupted() {
                return Err(Box::new(Interrupted));
            }
            // Every place asks for a whole row of logits.
            let mut asked_places = 0;
            let fits = order.iter().take(BATCH).take_while(|&&index| {
                asked_places += places[index].len();
                asked_places <= PLACES
            });
            let (indices, rest) = order.split_at(fits.count().max(1));
            order = rest;
            let members: Vec<&TokenizedText> = indices.iter().map(|&index| &texts[index]).collect();
            let length = members.iter().map(|text| text.ids.len()).max().unwrap_or(0);
            let mut asked = Vec::new();
            let mut rows = Vec::new();
            for (row, &index) in indices.iter().enumerate() {
                for (nth, &at) in
                    places[index].iter().enumerate().filter(|(_, at)| **at < lengths[index])
                {
                    asked.push((index, nth));
                    rows.push((row * length + at) as i64);
                }
            }
            if !rows.is_empty() {
                let mut feeds = predict::feeds(layout, &members);
                feeds.push((ROWS.to_owned(), Feed::I64(vec![rows.len()], rows)));
                let logits =
                    self.inference.lock().unwrap_or_else(PoisonError::into_inner).run(feeds)?;
                for (&(text, nth), row) in asked.iter().zip(logits.axis_iter(Axis(0))) {
                    let row: Vec<f32> = row.iter().copied().collect();
                    use_logits(text, nth, &row);
                }
            }
            done += indices.len() as u64;
            let total = Some(texts.len() as u64);
            ctx.progress(&Progress {
                activity: "filling masks",
                done,
                total,
                unit: "texts",
                detail: "",
            });
        }
        Ok(())
    }
}
