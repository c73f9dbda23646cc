//! Synonyms by word.

use std::collections::BTreeMap;

/// Synonyms by word in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thesaurus(BTreeMap<String, Vec<String>>);

impl Thesaurus {
    /// Returns the synonyms of a word in lower case, the nearest first; none for a word that it
    /// does not know.
    pub fn synonyms(&self, word: &str) -> &[String] {
        self.0.get(word).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the words with their synonyms, by the alphabet.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(word, synonyms)| (word.as_str(), synonyms.as_slice()))
    }

    /// Returns how many words have synonyms.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether no word has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<I: IntoIterator<Item = (String, Vec<String>)>> From<I> for Thesaurus {
    fn from(entries: I) -> Thesaurus {
        Thesaurus(entries.into_iter().filter(|(_, synonyms)| !synonyms.is_empty()).collect())
    }
}
