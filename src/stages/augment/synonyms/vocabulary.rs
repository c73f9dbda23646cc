//! The words that a method may change, and their replacements.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::source::Synonyms;
use super::thesaurus::Thesaurus;
use crate::base::report::Report;
use crate::stages::augment::language::stop_words::{StopWordList, StopWords};
use crate::stages::augment::language::words::Words;
use crate::stages::augment::methods::contract::Originals;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

/// The words that may be changed, each with its synonyms: words of train that have synonyms and are
/// not stop words.
pub struct Vocabulary {
    /// The synonyms of each word.
    entries: Vec<Vec<String>>,
    /// The entries by word in lower case.
    lower: HashMap<String, usize>,
    /// The entries by their spellings in train, `None` for words without an entry. It only saves
    /// the conversion to lower case.
    spelled: HashMap<String, Option<usize>>,
}

impl Vocabulary {
    /// Checks the sources of the words; a field is named by its key below the method.
    pub fn check(synonyms: &Synonyms, stop_words: &StopWords) -> Vec<CheckError> {
        [synonyms.check(), stop_words.check()].concat()
    }

    /// Lists the files and models that the words depend on.
    pub fn externals(
        synonyms: &Synonyms,
        stop_words: &StopWords,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        Ok([synonyms.externals(folder, fetch)?, stop_words.externals(folder)?].concat())
    }

    /// Looks the words of train up.
    pub fn of(
        ctx: &dyn Ctx,
        train: &Originals<'_>,
        synonyms: &Synonyms,
        stop_words: &StopWords,
    ) -> Result<Vocabulary, StageError> {
        let stop_words = stop_words.list(ctx.folder())?;
        let mut words = BTreeSet::new();
        for example in &train.examples {
            let content = Words::of(&example.text.first).content(|word| stop_words.contains(word));
            words.extend(content.into_iter().map(|(_, word)| word));
        }
        let mut vocabulary = Vocabulary::with(&synonyms.thesaurus(ctx, &words)?, &stop_words);
        for example in &train.examples {
            for bare in Words::of(&example.text.first).bare() {
                if !vocabulary.spelled.contains_key(bare) {
                    let entry = vocabulary.entry(bare);
                    vocabulary.spelled.insert(bare.to_owned(), entry);
                }
            }
        }
        Ok(vocabulary)
    }

    /// Makes a vocabulary from a thesaurus, without the stop words.
    pub fn with(thesaurus: &Thesaurus, stop_words: &StopWordList) -> Vocabulary {
        let mut vocabulary =
            Vocabulary { entries: Vec::new(), lower: HashMap::new(), spelled: HashMap::new() };
        for (word, synonyms) in thesaurus.iter().filter(|(word, _)| !stop_words.contains(word)) {
            vocabulary.lower.insert(word.to_owned(), vocabulary.entries.len());
            vocabulary.entries.push(synonyms.to_vec());
        }
        vocabulary
    }

    /// Returns the places of a text's words with synonyms, each with the number of its entry.
    pub fn find(&self, words: &Words<'_>) -> Vec<(usize, usize)> {
        let mut found = Vec::with_capacity(words.len());
        for (place, bare) in words.bare().enumerate() {
            let entry = self.spelled.get(bare).copied().unwrap_or_else(|| self.entry(bare));
            found.extend(entry.map(|entry| (place, entry)));
        }
        found
    }

    /// Returns the synonyms of an entry; there is at least one.
    pub fn synonyms(&self, entry: usize) -> &[String] {
        &self.entries[entry]
    }

    fn entry(&self, bare: &str) -> Option<usize> {
        self.lower.get(&bare.to_lowercase()).copied()
    }
}

impl AsRef<Vocabulary> for Vocabulary {
    fn as_ref(&self) -> &Vocabulary {
        self
    }
}
