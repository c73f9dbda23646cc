//! Masked language models: an encoder with a head that gives every word of the vocabulary a logit,
//! as an engine graph.
//!
//! Dimensions: `T` rows of token states, `M` masked tokens, `H` width, `V` words.

use super::config::{Activation, Architecture, Config};
use super::encoder::{Builder, NetworkOptions};
use super::error::ModelError;
use super::names::WORD_EMBEDDINGS;
use super::weights::Weights;
use crate::engine::{Dim, EngineError, Graph, ShapeError, TensorFact};

/// The input with the masked tokens' rows among the `T`.
pub const ROWS: &str = "masked_rows";

/// Says whether a tensor belongs to a masked-language-model head.
pub fn is_head(name: &str) -> bool {
    ["cls.predictions.", "lm_head.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."]
        .iter()
        .any(|start| name.starts_with(start))
}

/// What a folder has of a masked-language-model head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedHead {
    /// The dense layer and the norm before the words, where the folder has them.
    transform: Option<(&'static str, &'static str)>,
    /// The matrix of the words: the encoder's own word table, unless the folder has another.
    words: &'static str,
    /// The bias of the words, where the folder has one.
    bias: Option<&'static str>,
}

impl MaskedHead {
    /// Looks what there is among the weights. A folder without a head (a sentence encoder's) gives
    /// states × word table.
    pub fn of(config: &Config, weights: &Weights) -> Result<MaskedHead, ModelError> {
        let (dense, norm, words, biases) = match config.architecture {
            Architecture::Bert => (
                "cls.predictions.transform.dense",
                "cls.predictions.transform.LayerNorm",
                "cls.predictions.decoder.weight",
                ["cls.predictions.bias", "cls.predictions.decoder.bias"],
            ),
            Architecture::Roberta => (
                "lm_head.dense",
                "lm_head.layer_norm",
                "lm_head.decoder.weight",
                ["lm_head.bias", "lm_head.decoder.bias"],
            ),
            Architecture::DistilBert => (
                "vocab_transform",
                "vocab_layer_norm",
                "vocab_projector.weight",
                ["vocab_projector.bias", "vocab_projector.bias"],
            ),
        };
        let (hidden, vocabulary) = (config.hidden, config.vocabulary);
        let fits = |name: &str, shape: &[usize]| {
            weights.get(name).is_some_and(|found| found.shape() == shape)
        };
        let parts = [
            (format!("{dense}.weight"), vec![hidden, hidden]),
            (format!("{dense}.bias"), vec![hidden]),
            (format!("{norm}.weight"), vec![hidden]),
            (format!("{norm}.bias"), vec![hidden]),
        ];
        let present = parts.iter().filter(|(name, shape)| fits(name, shape)).count();
        if present > 0
            && let Some((name, expected)) = parts.iter().find(|(name, shape)| !fits(name, shape))
        {
            return Err(ModelError::HalfHead { name: name.clone(), expected: expected.clone() });
        }
        let words = if fits(words, &[vocabulary, hidden]) { words } else { WORD_EMBEDDINGS };
        let bias = biases.into_iter().find(|name| fits(name, &[vocabulary]));
        Ok(MaskedHead { transform: (present > 0).then_some((dense, norm)), words, bias })
    }

    /// Says whether the folder has a trained head.
    pub fn is_trained(&self) -> bool {
        self.transform.is_some()
    }

    /// Returns the graph with the output `logits` `[M, V]` of the rows that the input [`ROWS`]
    /// `[M]` names among the batch's `B·L` tokens.
    pub fn graph(&self, config: &Config, options: NetworkOptions) -> Result<Graph, EngineError> {
        Ok(self.build(config, options)?)
    }

    fn build(&self, config: &Config, options: NetworkOptions) -> Result<Graph, ShapeError> {
        let mut builder = Builder::new(config, options);
        let states = builder.encoder(false)?; // [T, H]
        let rows = builder.g.input(ROWS, TensorFact::i64(vec![Dim::Named("M")]));
        let mut x = builder.g.gather(states, rows)?; // [M, H]
        if let Some((dense, norm)) = self.transform {
            let (made, bias) = builder.linear_apart(x, dense, config.hidden, config.hidden)?;
            // RoBERTa's head has the exact GELU whatever its layers have.
            let own = config.architecture == Architecture::Roberta;
            x = builder.activate(
                made,
                bias,
                if own { Activation::Gelu } else { config.activation },
            )?;
            let norm = builder.norm(norm);
            x = builder.g.add_norm(
                x,
                None,
                None,
                norm,
                crate::engine::graph::build::DropoutAt::NONE,
            )?;
        }
        let tied = builder.words.filter(|_| self.words == WORD_EMBEDDINGS);
        let words = match tied {
            Some(words) => words,
            None => builder.g.parameter(self.words, &[config.vocabulary, config.hidden]),
        };
        let bias = self.bias.map(|name| builder.g.parameter(name, &[config.vocabulary]));
        let logits = builder.g.linear(x, words, bias)?; // [M, V]
        builder.g.output("logits", logits);
        Ok(builder.g)
    }
}
