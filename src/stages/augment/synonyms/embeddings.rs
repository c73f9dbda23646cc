//! Synonyms from the word embeddings of a pretrained encoder.

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::{ArrayD, Ix2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nearest::nearest;
use super::thesaurus::Thesaurus;
use super::words::whole_words;
use crate::base::report::Report;
use crate::model::Pretrained;
use crate::model::source::resolve;
use crate::stages::augment::methods::contract::default_encoder;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

/// The words whose embeddings in a pretrained encoder are nearest, by cosine.
///
/// Only whole words of letters in the encoder's vocabulary have synonyms and serve as such. They
/// are related words rather than strict synonyms: `buy` has `sell` among its neighbours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSynonyms {
    /// The encoder: a folder, `pip:NAME[==VERSION]` or `hf:ORG/NAME[@REVISION]`.
    #[serde(default = "default_encoder")]
    pub pretrained: String,
    /// The number of nearest words that count as synonyms.
    #[serde(default = "default_neighbours")]
    pub neighbours: usize,
}

/// An encoder that cannot provide synonyms.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SynonymError {
    #[error("`{pretrained}` has no word embeddings of shape [vocabulary, width]; found {found}")]
    #[diagnostic(help("set another encoder at `synonyms.embeddings.pretrained`"))]
    NoEmbeddings { pretrained: String, found: String },
    #[error("`{pretrained}` has no vocabulary of words: {reason}")]
    #[diagnostic(help(
        "a BERT, DistilBERT or RoBERTa folder with its tokenizer.json has one; give it at \
         `synonyms.embeddings.pretrained`"
    ))]
    NoVocabulary { pretrained: String, reason: String },
}

fn default_neighbours() -> usize {
    10
}

const TOKENIZER: &str = "tokenizer.json";

impl Default for EmbeddingSynonyms {
    fn default() -> EmbeddingSynonyms {
        EmbeddingSynonyms { pretrained: default_encoder(), neighbours: default_neighbours() }
    }
}

impl EmbeddingSynonyms {
    pub(super) fn check(&self) -> Vec<CheckError> {
        let zero = CheckError::new(
            "synonyms.embeddings.neighbours",
            "`neighbours` is 0; expected at least 1",
        );
        let mut errors = if self.neighbours == 0 { vec![zero] } else { Vec::new() };
        let place = "synonyms.embeddings.pretrained";
        errors.extend(CheckError::of_reference(place, &self.pretrained));
        errors
    }

    pub(super) fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        Ok(vec![External::model(&self.pretrained, folder, fetch)?])
    }

    pub(super) fn thesaurus(
        &self,
        ctx: &dyn Ctx,
        words: &BTreeSet<String>,
    ) -> Result<Thesaurus, StageError> {
        let folder = resolve::resolve(&self.pretrained, ctx.folder(), ctx)?;
        let model = Pretrained::read(&folder)?;
        Ok(self.look_up(&model, model.word_table()?.as_deref(), words)?)
    }

    fn look_up(
        &self,
        model: &Pretrained,
        matrix: Option<&ArrayD<f32>>,
        words: &BTreeSet<String>,
    ) -> Result<Thesaurus, SynonymError> {
        let no_embeddings = |found: String| SynonymError::NoEmbeddings {
            pretrained: self.pretrained.clone(),
            found,
        };
        let matrix = matrix.ok_or_else(|| no_embeddings("none".into()))?;
        let matrix = matrix
            .view()
            .into_dimensionality::<Ix2>()
            .map_err(|_| no_embeddings(format!("shape {:?}", matrix.shape())))?;
        let vocabulary = model
            .files
            .get(TOKENIZER)
            .ok_or_else(|| format!("there is no {TOKENIZER}"))
            .and_then(|bytes| whole_words(bytes))
            .map_err(|reason| SynonymError::NoVocabulary {
                pretrained: self.pretrained.clone(),
                reason,
            })?;
        Ok(Thesaurus::from(nearest(matrix, &vocabulary, words, self.neighbours)))
    }
}
