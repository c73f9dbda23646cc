//! Pretrained encoders as they are, without any training: sentence embeddings and masked words.

use std::path::Path;

use ndarray::{Array2, Axis};

use super::predict::{self, InputLayout, longest, tokenize};
use super::stage::{Ctx, Interrupted, StageError};
use crate::base::report::Progress;
use crate::engine::binding::{Feed, Parameters};
use crate::engine::{Graph, Inference, Kernels};
use crate::model::masked::{MaskedHead, ROWS};
use crate::model::{Dropout, NetworkOptions, Pooling, Pretrained, encoder, resolve};
use crate::text::{TokenizedText, batch};

/// Texts per batch.
const BATCH: usize = 32;

fn options(pretrained: &Pretrained) -> NetworkOptions {
    NetworkOptions {
        kernels: Kernels::Fused,
        dropout: Dropout::Off,
        word_rows: pretrained.config.vocabulary,
        positions_in_graph: false,
    }
}

/// Opens a session over those weights that the graph has.
fn open(ctx: &dyn Ctx, graph: &Graph, pretrained: &Pretrained) -> Result<Inference, StageError> {
    let used = graph.parameters().filter_map(|(name, _)| Some((name, pretrained.weights.get(name)?)));
    Ok(Inference::new(ctx.runtime()?, graph, &Parameters::new(used)?)?)
}

/// A sentence encoder.
pub struct SentenceEncoder {
    pretrained: Pretrained,
    inference: Inference,
    max_length: usize,
}

impl SentenceEncoder {
    /// Reads a pretrained encoder; see [`crate::model::resolve`].
    pub fn new(
        ctx: &dyn Ctx,
        reference: &str,
        pooling: Pooling,
        max_length: usize,
    ) -> Result<SentenceEncoder, StageError> {
        let mut pretrained = Pretrained::read(&resolve::resolve(reference, ctx.folder(), ctx)?)?;
        let graph = encoder::embedding(&pretrained.config, pooling, options(&pretrained))
            .map_err(crate::engine::EngineError::from)?;
        let inference = open(ctx, &graph, &pretrained)?;
        // The session has its own.
        pretrained.weights.clear();
        Ok(SentenceEncoder { pretrained, inference, max_length })
    }

    /// Returns the embeddings `[N, H]` of texts in their order, each of length 1.
    pub fn embed(&mut self, ctx: &dyn Ctx, texts: &[&str]) -> Result<Array2<f64>, StageError> {
        let tokens = tokenize(&self.pretrained, texts, self.max_length)?;
        let layout = InputLayout::of(&self.pretrained.config);
        let width = self.pretrained.config.hidden;
        let states = predict::logits(ctx, layout, &tokens, width, "embedding", &mut |feeds| {
            self.inference.run(feeds)
        })?;
        let mut embeddings = states.mapv(f64::from);
        for mut row in embeddings.rows_mut() {
            let norm = row.dot(&row).sqrt();
            row.mapv_inplace(|value| value / norm);
        }
        Ok(embeddings)
    }
}

/// A masked language model.
pub struct MaskedModel {
    pub pretrained: Pretrained,
    head: MaskedHead,
    inference: std::sync::Mutex<Inference>,
}

impl MaskedModel {
    /// Reads a pretrained encoder with the masked-language-model head that its folder has; see [`MaskedHead::of`].
    pub fn read(ctx: &dyn Ctx, folder: &Path) -> Result<MaskedModel, StageError> {
        let mut pretrained = Pretrained::read_with_masked_head(folder)?;
        let head = MaskedHead::of(&pretrained.config, &pretrained.weights)?;
        let graph = head.graph(&pretrained.config, options(&pretrained))?;
        let inference = std::sync::Mutex::new(open(ctx, &graph, &pretrained)?);
        pretrained.weights.clear();
        Ok(MaskedModel { pretrained, head, inference })
    }

    /// Says whether the folder has a trained head.
    pub fn has_trained_head(&self) -> bool {
        self.head.is_trained()
    }

    /// Tokenizes texts, cut to what the model takes.
    pub fn tokenize(&self, texts: &[&str]) -> Result<Vec<TokenizedText>, StageError> {
        tokenize(&self.pretrained, texts, longest(&self.pretrained.config, usize::MAX))
    }

    /// Gives `use_logits` the logits of the tokens at these places of each text: the number of the text, which of its places it is, and its row `[V]`.
    pub fn predict(
        &self,
        ctx: &dyn Ctx,
        texts: &[TokenizedText],
        places: &[Vec<usize>],
        use_logits: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), StageError> {
        let layout = InputLayout::of(&self.pretrained.config);
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let mut done = 0;
        for indices in batch::in_order_by_length(&lengths, BATCH) {
            if ctx.interrupted() {
                return Err(Box::new(Interrupted));
            }
            let members: Vec<&TokenizedText> = indices.iter().map(|&index| &texts[index]).collect();
            let length = members.iter().map(|text| text.ids.len()).max().unwrap_or(0);
            let mut asked = Vec::new();
            let mut rows = Vec::new();
            for (row, &index) in indices.iter().enumerate() {
                for (nth, &at) in places[index].iter().enumerate().filter(|(_, at)| **at < lengths[index]) {
                    asked.push((index, nth));
                    rows.push((row * length + at) as i64);
                }
            }
            if !rows.is_empty() {
                let mut feeds = predict::feeds(layout, &members);
                feeds.push((ROWS.to_owned(), Feed::I64(vec![rows.len()], rows)));
                let logits = match self.inference.lock() {
                    Ok(mut inference) => inference.run(feeds)?,
                    Err(poisoned) => poisoned.into_inner().run(feeds)?,
                };
                for (&(text, nth), row) in asked.iter().zip(logits.axis_iter(Axis(0))) {
                    let row: Vec<f32> = row.iter().copied().collect();
                    use_logits(text, nth, &row);
                }
            }
            done += indices.len() as u64;
            let total = Some(texts.len() as u64);
            ctx.progress(&Progress { activity: "filling masks", done, total, unit: "texts", detail: "" });
        }
        Ok(())
    }
}
