//! Synonyms by word.

use std::collections::BTreeMap;

/// Synonyms by word in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thesaurus(BTreeMap<String, Vec<String>>);

impl Thesaurus {
    /// Returns the synonyms of a lower-case word, the nearest first; none for an unknown word.
    pub fn synonyms(&self, word: &str) -> &[String] {
        self.0.get(word).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the words with their synonyms, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(word, synonyms)| (word.as_str(), synonyms.as_slice()))
    }

    /// Returns the number of words with synonyms.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no word has synonyms.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<I: IntoIterator<Item = (String, Vec<String>)>> From<I> for Thesaurus {
    fn from(entries: I) -> Thesaurus {
        Thesaurus(entries.into_iter().filter(|(_, synonyms)| !synonyms.is_empty()).collect())
    }
}
