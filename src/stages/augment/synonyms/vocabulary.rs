//! The words that a method may change, and by what.

use std::collections::BTreeSet;

use super::source::Synonyms;
use super::thesaurus::Thesaurus;
use crate::stages::augment::method::Originals;
use crate::stages::augment::stop_words::{StopWordList, StopWords};
use crate::stages::augment::words::Words;
use crate::stages::stage::{Ctx, StageError};

/// Synonyms of the words of train, and the words that are left alone.
pub struct Vocabulary {
    pub thesaurus: Thesaurus,
    stop_words: StopWordList,
}

impl Vocabulary {
    /// Looks the words of train up.
    pub fn of(
        ctx: &dyn Ctx,
        train: &Originals<'_>,
        synonyms: &Synonyms,
        stop_words: &StopWords,
    ) -> Result<Vocabulary, StageError> {
        let stop_words = stop_words.list(ctx.folder())?;
        let mut vocabulary = Vocabulary { thesaurus: Thesaurus::default(), stop_words };
        let mut words = BTreeSet::new();
        for example in &train.examples {
            words.extend(vocabulary.content(&Words::of(&example.text)).into_iter().map(|(_, word)| word));
        }
        vocabulary.thesaurus = synonyms.thesaurus(ctx, &words)?;
        Ok(vocabulary)
    }

    /// Returns the words of a text that may be changed, in lower case, by their place.
    pub fn content(&self, words: &Words<'_>) -> Vec<(usize, String)> {
        words.content(|word| self.stop_words.contains(word))
    }

    /// A vocabulary with these synonyms and English stop words.
    #[cfg(test)]
    pub fn with(thesaurus: Thesaurus) -> Vocabulary {
        let stop_words = StopWords::default().list(std::path::Path::new(".")).unwrap_or_default();
        Vocabulary { thesaurus, stop_words }
    }
}

impl AsRef<Vocabulary> for Vocabulary {
    fn as_ref(&self) -> &Vocabulary {
        self
    }
}
