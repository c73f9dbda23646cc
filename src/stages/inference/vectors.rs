//! The vectors of texts by an encoder as it is, which are computed once for all that use them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, Axis, Ix2};
use serde_json::{Value, json};

use super::predict;
use super::texts::Texts;
use crate::base::digest::Digest;
use crate::engine::{EngineError, Inference, Place};
use crate::model::input_layout::InputLayout;
use crate::model::{Embedder, ModelError, NetworkOptions, Pretrained, Weights, network, weights};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Kind, Output};
use crate::stages::contract::stage::Piece;
use crate::stages::contract::stage::{Ctx, External};
use crate::text::windows;

/// The vectors of texts, in their order.
///
/// On the disk: the tensor `vectors` `[N, E]` in model.safetensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors(pub Array2<f32>);

const TENSOR: &str = "vectors";

impl Kind {
    /// The vectors of texts.
    pub const VECTORS: Kind =
        Kind::new("vectors of texts", |folder| Ok(Arc::new(Vectors::read(folder)?)));
}

impl Vectors {
    fn read(folder: &Path) -> Result<Vectors, ModelError> {
        let found = weights::read_whole(folder)?.remove(TENSOR);
        let array = found.and_then(|array| array.into_dimensionality::<Ix2>().ok());
        let missing = || ModelError::MissingTensor {
            path: folder.to_owned(),
            name: TENSOR.to_owned(),
            expected: Vec::new(),
        };
        Ok(Vectors(array.ok_or_else(missing)?))
    }
}

impl Output for Vectors {
    fn kind(&self) -> Kind {
        Kind::VECTORS
    }

    fn write(&self, folder: &Path) -> Result<(), StageError> {
        let tensors = Weights::from([(TENSOR.to_owned(), self.0.clone().into_dyn())]);
        Ok(weights::write(folder, &tensors, str::to_owned)?)
    }
}

/// Texts that an encoder reads as it is.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// With its weights.
    pub pretrained: &'a Pretrained,
    pub embedder: &'a Embedder,
    pub prepared: &'a Texts,
    pub texts: &'a [&'a str],
}

impl Reading<'_> {
    /// Computes the vectors `[N, E]` of the texts, without dropout.
    ///
    /// # Errors
    ///
    /// Fails where the engine does, and for a vector that is not of numbers.
    pub fn vectors(&self, ctx: &dyn Ctx) -> Result<Array2<f32>, StageError> {
        let Reading { pretrained, embedder, prepared, texts } = *self;
        Reader::open(ctx, pretrained, embedder)?.vectors(ctx, prepared, texts)
    }

    /// Returns the vectors `[N, E]` of the texts by an encoder of this identity: those that the
    /// cache has, or new ones.
    ///
    /// # Errors
    ///
    /// Fails as [`Reading::vectors`] does, and where the cache cannot be read or written.
    pub fn shared(&self, ctx: &dyn Ctx, identity: Digest) -> Result<Array2<f32>, StageError> {
        if self.texts.is_empty() {
            return Ok(Array2::zeros((0, self.embedder.width(self.pretrained.config.hidden))));
        }
        let output = ctx.shared(&Shared { reading: *self, identity })?;
        Ok(output.as_a::<Vectors>().0.clone())
    }
}

/// An encoder that is open for texts.
pub struct Reader {
    inference: Inference,
    layout: InputLayout,
    /// E
    width: usize,
}

impl Reader {
    /// Opens an encoder with what makes vectors over it.
    pub fn open(
        ctx: &dyn Ctx,
        pretrained: &Pretrained,
        embedder: &Embedder,
    ) -> Result<Reader, StageError> {
        let config = &pretrained.config;
        let options = NetworkOptions::inference(config, Place::of(ctx.device()));
        let graph = network::embedding(config, embedder, options).map_err(EngineError::from)?;
        Ok(Reader {
            inference: predict::session(ctx, &graph, &pretrained.weights)?,
            layout: InputLayout::of(config),
            width: embedder.width(config.hidden),
        })
    }

    /// Returns the vectors `[N, E]` of texts, in their order.
    ///
    /// # Errors
    ///
    /// Fails where the engine does, and for a vector that is not of numbers.
    pub fn vectors(
        &mut self,
        ctx: &dyn Ctx,
        prepared: &Texts,
        texts: &[&str],
    ) -> Result<Array2<f32>, StageError> {
        let Reader { inference, layout, width } = self;
        let tokens = prepared.encode(texts)?;
        if let Some(told) = windows::told(&tokens, prepared.longest) {
            ctx.note(&told);
        }
        let tokens = (&tokens[..], prepared.preparation.combine());
        let vectors = predict::logits(ctx, *layout, tokens, *width, "embedding", &mut |feeds| {
            inference.run(feeds)
        })?;
        for (row, text) in vectors.rows().into_iter().zip(texts) {
            if row.iter().any(|value| !value.is_finite()) {
                let text = text.chars().take(40).collect();
                return Err(Box::new(NotNumbers { text }));
            }
        }
        Ok(vectors)
    }
}

/// Vectors that were computed before, by their texts.
pub struct Known {
    rows: BTreeMap<String, usize>,
    /// `[N, E]`
    vectors: Array2<f32>,
}

impl Known {
    /// Takes texts and their vectors, one for each.
    pub fn new(texts: &[&str], vectors: Array2<f32>) -> Known {
        let rows = texts.iter().enumerate().map(|(row, text)| ((*text).to_owned(), row));
        Known { rows: rows.collect(), vectors }
    }

    /// Returns the vectors `[N, E]` of texts; `None` where one of them is not known.
    pub fn of(&self, texts: &[&str]) -> Option<Array2<f32>> {
        let rows: Option<Vec<usize>> =
            texts.iter().map(|text| self.rows.get(*text).copied()).collect();
        Some(self.vectors.select(Axis(0), &rows?))
    }
}

/// An encoder whose states are not numbers.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the vector of the text `{text}` has NaN or infinite values")]
#[diagnostic(help(
    "the encoder's weights may be damaged: fetch the model again; after a training, try a lower \
     learning rate"
))]
pub struct NotNumbers {
    pub text: String,
}

/// The vectors of texts as a piece that stages share.
struct Shared<'a> {
    reading: Reading<'a>,
    identity: Digest,
}

impl Piece for Shared<'_> {
    fn name(&self) -> &'static str {
        "vectors"
    }

    fn code_version(&self) -> u32 {
        2
    }

    fn config(&self) -> Value {
        let Reading { embedder, prepared, texts, .. } = self.reading;
        let texts: String =
            texts.iter().map(|text| Digest::of(text.as_bytes()).to_string()).collect();
        json!({
            "embedder": embedder.to_string(),
            "preparation": prepared.preparation,
            "longest": prepared.longest,
            "texts": Digest::of(texts.as_bytes()).to_string(),
        })
    }

    fn externals(&self) -> Vec<External> {
        vec![External { name: "encoder".to_owned(), digest: self.identity }]
    }

    fn kind(&self) -> Kind {
        Kind::VECTORS
    }

    fn compute(&self, ctx: &dyn Ctx) -> Result<Arc<dyn Output>, StageError> {
        Ok(Arc::new(Vectors(self.reading.vectors(ctx)?)))
    }
}
