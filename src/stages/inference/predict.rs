//! Predicting texts with a network whose parameters are bound.

use crate::model::input_layout::InputLayout;
use crate::model::pretrained::CONFIG;
use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayD};
use serde_json::Value;

use crate::base::report::Progress;
use crate::engine::backend::binding::{Feed, Parameters, packing_of};
use crate::engine::graph::packing::WHOLE_TEXTS;
use crate::engine::{EngineError, Graph, Inference, Place};
use crate::model::{Config, HeadForm, Network, NetworkOptions, Pretrained, Tensors};
use crate::stages::contract::error::{Interrupted, StageError};
use crate::stages::contract::stage::Ctx;
use crate::text::{Combine, TokenizedText, Tokenizer, batch, windows};

/// The most texts per batch of a prediction, and the most pairs of tokens, which attention keeps.
const BATCH: usize = 32;
const PAIRS: usize = BATCH * 512 * 512;

/// A tokenizer that was made for another model.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "the tokenizer's vocabulary has ids up to {largest}, but the model's word table has \
     {vocabulary} rows"
)]
#[diagnostic(help("the two belong to different models; fetch the model's folder again"))]
pub struct OtherTokenizer {
    pub largest: u32,
    pub vocabulary: usize,
}

/// Runs a batch forward.
pub type Forward<'a> = dyn FnMut(Vec<(String, Feed)>) -> Result<ArrayD<f32>, EngineError> + 'a;

/// Opens a session over those weights of a folder that the graph has. They are read one by one.
pub fn session(ctx: &dyn Ctx, graph: &Graph, weights: &Tensors) -> Result<Inference, StageError> {
    // The library is loaded before anything else is asked of it.
    let runtime = ctx.runtime()?;
    let mut parameters = Parameters::new(Place::of(ctx.device()), [])?;
    for (name, _) in graph.parameters() {
        if let Some(array) = weights.get(name)? {
            parameters.add(name, &array)?;
        }
    }
    Ok(Inference::new(runtime, graph, &parameters)?)
}

/// Opens a session that gives the logits of an encoder with a head for so many labels.
pub fn open(
    ctx: &dyn Ctx,
    pretrained: &Pretrained,
    (form, labels): (&HeadForm, usize),
    options: NetworkOptions,
) -> Result<Inference, StageError> {
    let config = &pretrained.config;
    let mut network = Network::new(config, form, labels, options).map_err(EngineError::from)?;
    network.graph.output("logits", network.output);
    session(ctx, &network.graph, &pretrained.weights)
}

/// Returns the logits `[N, K]` of texts, in their order; those of a text's windows are combined.
///
/// On the CPU, those of a text depend on no other text: a batch has texts of one length, so that
/// none is padded, and the rows of a product do not depend on how many there are.
pub fn logits(
    ctx: &dyn Ctx,
    layout: InputLayout,
    (texts, combine): (&[TokenizedText], Combine),
    labels: usize,
    activity: &str,
    forward: &mut Forward<'_>,
) -> Result<Array2<f32>, StageError> {
    if texts.iter().all(|text| text.more.is_empty()) {
        return logits_of_rows(ctx, layout, texts, labels, activity, forward);
    }
    let apart = windows::apart(texts);
    let found = logits_of_rows(ctx, layout, &apart, labels, activity, forward)?;
    Ok(combine.results(&found, texts))
}

fn logits_of_rows(
    ctx: &dyn Ctx,
    layout: InputLayout,
    texts: &[TokenizedText],
    labels: usize,
    activity: &str,
    forward: &mut Forward<'_>,
) -> Result<Array2<f32>, StageError> {
    let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
    let mut logits = Array2::zeros((texts.len(), labels));
    let mut done = 0;
    for indices in batch::of_equal_length(&lengths, BATCH, PAIRS) {
        if ctx.interrupted() {
            return Err(Box::new(Interrupted));
        }
        let mut members: Vec<&TokenizedText> = indices.iter().map(|&index| &texts[index]).collect();
        // A product with a single row is computed in another way, and rounded otherwise.
        if let [single] = members[..] {
            members.push(single);
        }
        let found = forward(feeds(layout, &members))?;
        for (row, &index) in indices.iter().enumerate() {
            logits.row_mut(index).assign(&found.index_axis(ndarray::Axis(0), row));
        }
        done += indices.len() as u64;
        ctx.progress(&Progress {
            activity,
            done,
            total: Some(texts.len() as u64),
            unit: "texts",
            detail: "",
        });
    }
    Ok(logits)
}

/// Returns the inputs of a network for one batch: token ids, mask, types and positions, `[B, L]`. A
/// session takes those that it knows.
pub fn feeds(layout: InputLayout, texts: &[&TokenizedText]) -> Vec<(String, Feed)> {
    let batch = batch::pad(texts, layout.padding_id);
    let shape = vec![batch.size, batch.length];
    let first = layout.first_position;
    // Padding of RoBERTa stands at the padding id's own position; elsewhere its place is never
    // seen.
    let positions = (0..batch.size * batch.length)
        .map(|index| {
            if batch.mask[index] == 0 {
                first.max(1) - 1
            } else {
                first + (index % batch.length) as i64
            }
        })
        .collect();
    let packing = packing_of(&batch.mask, &WHOLE_TEXTS);
    let mut feeds = vec![
        ("input_ids".to_owned(), Feed::I64(shape.clone(), batch.ids)),
        ("attention_mask".to_owned(), Feed::I64(shape.clone(), batch.mask)),
        ("token_type_ids".to_owned(), Feed::I64(shape.clone(), vec![0; batch.size * batch.length])),
        ("position_ids".to_owned(), Feed::I64(shape, positions)),
    ];
    feeds.extend(packing);
    feeds
}

/// Returns how many tokens a text may have: `max_length`, or what the model's position table holds
/// if that is less.
pub fn longest(config: &Config, max_length: usize) -> usize {
    config.positions.saturating_sub(config.first_position()).min(max_length)
}

/// Tokenizes texts with a model's tokenizer, cut to what the model's position table holds.
pub fn tokenize(
    pretrained: &Pretrained,
    texts: &[&str],
    max_length: usize,
) -> Result<Vec<TokenizedText>, StageError> {
    Ok(tokenizer(pretrained)?.encode(texts, longest(&pretrained.config, max_length))?)
}

/// Reads a model's tokenizer, whose vocabulary must have rows in the word table. A token that was
/// added beyond it is an error where a text has it, as in `transformers`.
pub fn tokenizer(pretrained: &Pretrained) -> Result<Arc<Tokenizer>, StageError> {
    let model_type = pretrained.raw_config.get("model_type").and_then(Value::as_str);
    let vocabulary = pretrained.config.vocabulary;
    let tokenizer = Tokenizer::shared(&pretrained.files, model_type, Some(vocabulary))?;
    let largest = tokenizer.largest_id();
    if largest as usize >= vocabulary {
        return Err(Box::new(OtherTokenizer { largest, vocabulary }));
    }
    Ok(tokenizer)
}

/// Reads the tokenizer of a model of which nothing but its files is known.
pub fn tokenizer_of(files: &BTreeMap<String, Vec<u8>>) -> Result<Arc<Tokenizer>, StageError> {
    let config: Option<Value> =
        files.get(CONFIG).and_then(|bytes| serde_json::from_slice(bytes).ok());
    let model_type = config.as_ref().and_then(|config| config.get("model_type")?.as_str());
    Ok(Tokenizer::shared(files, model_type, None)?)
}

/// Returns the softmax of each row of logits.
pub fn probabilities(logits: &Array2<f32>) -> Vec<Vec<f32>> {
    logits
        .rows()
        .into_iter()
        .map(|row| {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f64> =
                row.iter().map(|&logit| f64::from(logit - highest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(|power| (power / sum) as f32).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What is read off the JSON alone is what the typed configuration says.
    #[test]
    fn layouts_follow_the_configuration() -> Result<(), Box<dyn std::error::Error>> {
        for (name, padding_id, first_position) in
            [("bert", 0, 0), ("distilbert", 0, 0), ("roberta", 1, 2)]
        {
            let path = format!("{}/tests/data/tiny-{name}/config.json", env!("CARGO_MANIFEST_DIR"));
            let json = serde_json::from_slice(&fs_err::read(&path)?)?;
            let layout = InputLayout::of_json(&json);
            assert_eq!(layout, InputLayout { padding_id, first_position }, "{name}");
            assert_eq!(
                layout,
                InputLayout::of(&Config::from_json(&json, Path::new(&path))?),
                "{name}"
            );
        }
        Ok(())
    }
}
