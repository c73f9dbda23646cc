//! The configuration of synonyms.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::embeddings::EmbeddingSynonyms;
use super::thesaurus::Thesaurus;
use super::{openoffice, wordnet};
use crate::base::report::Report;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

/// The source of synonyms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Synonyms {
    /// The words whose embeddings in a pretrained encoder are nearest.
    Embeddings(EmbeddingSynonyms),
    /// WordNet: the folder (relative to this file) with `index.noun`, `data.noun`, `noun.exc` and
    /// its other files. Debian's package `wordnet-base` installs them in /usr/share/wordnet.
    Wordnet(String),
    /// An OpenOffice or LibreOffice thesaurus: its `.dat` file (relative to this file). Debian's
    /// packages `mythes-…` install them in /usr/share/mythes.
    Openoffice(String),
}

impl Default for Synonyms {
    fn default() -> Synonyms {
        Synonyms::Embeddings(EmbeddingSynonyms::default())
    }
}

impl Synonyms {
    /// Checks the settings; a field is named by its key below the method.
    pub fn check(&self) -> Vec<CheckError> {
        match self {
            Synonyms::Embeddings(embeddings) => embeddings.check(),
            Synonyms::Wordnet(_) | Synonyms::Openoffice(_) => Vec::new(),
        }
    }

    /// Lists the files and models that the synonyms depend on.
    pub fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        match self {
            Synonyms::Embeddings(embeddings) => embeddings.externals(folder, fetch),
            Synonyms::Wordnet(name) => wordnet::externals(folder, name),
            Synonyms::Openoffice(name) => openoffice::externals(folder, name),
        }
    }

    /// Returns the synonyms of these words in lower case.
    pub fn thesaurus(
        &self,
        ctx: &dyn Ctx,
        words: &BTreeSet<String>,
    ) -> Result<Thesaurus, StageError> {
        match self {
            Synonyms::Embeddings(embeddings) => embeddings.thesaurus(ctx, words),
            Synonyms::Wordnet(name) => Ok(wordnet::thesaurus(ctx.folder(), name, words)?),
            Synonyms::Openoffice(name) => Ok(openoffice::thesaurus(ctx.folder(), name, words)?),
        }
    }
}
