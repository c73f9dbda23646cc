//! Masked language models: an encoder with a head that gives every word of the vocabulary a logit,
//! as an engine graph; and the decoder that such a head makes of its layers.
//!
//! Dimensions: `T` rows of token states, `M` masked tokens, `H` width, `E` width of the word table,
//! `V` words.

use std::sync::Arc;

use super::encoders::Config;
use super::encoders::contract::Masked;
use super::encoders::parts::builder::{Adapts, Builder, NetworkOptions};
use super::error::ModelError;
use super::network::{Network, embed, encode, parameters};
use super::sentences::Embedder;
use super::weights::Tensors;
use crate::engine::{Dim, EngineError, Graph, Initial, Marks, Place, ShapeError, TensorFact, Var};

/// The input with the masked tokens' rows among the `T`.
pub const ROWS: &str = "masked_rows";

/// What a folder has of a masked-language-model head.
#[derive(Clone, Debug)]
pub struct MaskedHead {
    /// The layers before the words, where the folder has some.
    transform: Option<&'static Masked>,
    /// A matrix of the words that is not the encoder's own word table.
    words: Option<&'static str>,
    /// The bias of the words, where the folder has one.
    bias: Option<&'static str>,
}

impl MaskedHead {
    /// Looks what there is among the weights. A folder without a head (a sentence encoder's) gives
    /// states × word table.
    pub fn of(config: &Config, weights: &Tensors) -> Result<MaskedHead, ModelError> {
        let fits = |name: &str, shape: &[usize]| weights.shape(name) == Some(shape);
        let mut transform = None;
        for masked in config.encoder.masked {
            let (present, missing): (Vec<_>, Vec<_>) =
                layers(config, masked)?.into_iter().partition(|(name, shape)| fits(name, shape));
            if !present.is_empty() {
                if let Some((name, expected)) = missing.into_iter().next() {
                    return Err(ModelError::HalfHead { name, expected });
                }
                transform.get_or_insert(masked);
            }
        }
        let (width, vocabulary) = (config.embedding, config.vocabulary);
        let forms = transform.map_or(config.encoder.masked, std::slice::from_ref);
        let words =
            |masked: &Masked| Some(masked.words).filter(|it| fits(it, &[vocabulary, width]));
        let bias =
            |masked: &Masked| masked.biases.iter().copied().find(|name| fits(name, &[vocabulary]));
        let (words, bias) = (forms.iter().find_map(words), forms.iter().find_map(bias));
        // A classifier of ModernBERT has these layers too, without anything for the words.
        let of_words = words.is_some() || bias.is_some();
        let is_shared = |masked: &&'static Masked| {
            let layers = layers(config, masked).unwrap_or_default();
            layers.iter().all(|(name, _)| config.encoder.is_pretrained_head(name))
        };
        let transform = transform.filter(|masked| of_words || !is_shared(masked));
        if transform.is_none() && config.embedding != config.hidden {
            let model = config.encoder.family("").to_owned();
            return Err(ModelError::NoMaskedHead { model });
        }
        Ok(MaskedHead { transform, words, bias })
    }

    /// Returns the head that a training goes on with: the folder's, or a new one of the
    /// architecture, which is tied to the word table.
    pub fn to_train(config: &Config, weights: &Tensors) -> Result<MaskedHead, ModelError> {
        match MaskedHead::of(config, weights) {
            Ok(found) if found.is_trained() => Ok(found),
            Ok(_) | Err(ModelError::NoMaskedHead { .. }) => {
                let form = config.encoder.masked.first();
                let bias = form.and_then(|masked| masked.biases.first().copied());
                Ok(MaskedHead { transform: form, words: None, bias })
            }
            Err(error) => Err(error),
        }
    }

    /// Lists the parameters of the head.
    pub fn names(&self, config: &Config) -> Result<Vec<String>, ModelError> {
        let layers = self.transform.map_or(Ok(Vec::new()), |masked| layers(config, masked))?;
        let words = self.words.into_iter().chain(self.bias).map(str::to_owned);
        Ok(layers.into_iter().map(|(name, _)| name).chain(words).collect())
    }

    /// Says whether the folder has a trained head.
    pub fn is_trained(&self) -> bool {
        self.transform.is_some()
    }

    /// Returns the graph with the output `logits` `[M, V]` of the rows that the input [`ROWS`]
    /// `[M]` names among the batch's `B·L` tokens.
    pub fn graph(&self, config: &Config, options: NetworkOptions) -> Result<Graph, EngineError> {
        let Network { mut graph, output, .. } = self.network(config, options, None)?;
        graph.output("logits", output);
        Ok(graph)
    }

    /// Builds the same as a network that may be trained, perhaps with something put into the
    /// encoder's linear layers.
    pub fn network(
        &self,
        config: &Config,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        let mut b = Builder::new(options);
        b.adapt(adapter);
        let states = encode(&mut b, config, false)?; // [T, H]
        self.words_of(b, config, states)
    }

    /// Builds a decoder over an encoder, of whose layers it has the parameters: each token of the
    /// input [`DECODED`] tells the next, from those before it and from the vector of a text that
    /// the encoder reads. The input [`ROWS`] names rows among the batch's `B·D` decoded tokens.
    ///
    /// [`DECODED`]: super::encoders::parts::decoding::DECODED
    pub fn decoder(
        &self,
        config: &Config,
        embedder: &Embedder,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        let mut b = Builder::new(options);
        b.adapt(adapter);
        let vectors = embed(&mut b, config, embedder)?; // [B, E]
        b.decode(vectors, embedder.width(config.hidden))?;
        let states = encode(&mut b, config, false)?; // [T, H]
        self.words_of(b, config, states)
    }

    /// Builds the head over states `[T, H]`.
    fn words_of(
        &self,
        mut b: Builder,
        config: &Config,
        states: Var,
    ) -> Result<Network, ShapeError> {
        b.enter_head();
        let rows = b.g.input(ROWS, TensorFact::i64(vec![Dim::Named("M")]));
        let places = b.g.of_places(states)?; // [B·L, H]
        let mut x = b.g.gather(places, rows)?; // [M, H]
        if let Some(masked) = self.transform {
            x = (masked.transform)(&mut b, config, x)?; // [M, E]
        }
        let (width, vocabulary) = (config.embedding, config.vocabulary);
        let none = || ShapeError("the encoder has no word table".to_owned());
        let head = Marks { head: true, ..Marks::default() };
        let words = match self.words {
            Some(own) => b.g.parameter(own, &[vocabulary, width], head),
            None => b.tied_words().ok_or_else(none)?,
        };
        let added = Marks { no_decay: true, bias: true, initial: Initial::Zeros, ..head };
        let bias = self.bias.map(|name| b.g.parameter(name, &[vocabulary], added));
        let output = b.g.linear(x, words, bias)?; // [M, V]
        let modules = b.modules().to_vec();
        Ok(Network { graph: b.g, output, modules })
    }
}

/// Lists the tensors that may make up the head in a folder.
pub(super) fn names(config: &Config) -> Result<Vec<String>, ModelError> {
    let mut names = Vec::new();
    for masked in config.encoder.masked {
        names.extend(layers(config, masked)?.into_iter().map(|(name, _)| name));
        let words = [masked.words].into_iter().chain(masked.biases.iter().copied());
        names.extend(words.map(str::to_owned));
    }
    Ok(names)
}

/// Lists the parameters of the layers before the words.
fn layers(config: &Config, masked: &Masked) -> Result<Vec<(String, Vec<usize>)>, ModelError> {
    let mut b = Builder::new(NetworkOptions::inference(config, Place::Host));
    let rows = TensorFact::f32(vec![Dim::Named("M"), Dim::Fixed(config.hidden)]);
    let x = b.g.input("masked_states", rows);
    (masked.transform)(&mut b, config, x)?;
    Ok(parameters(&b.g))
}
