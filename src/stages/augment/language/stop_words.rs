//! Words of grammar rather than content, which augmentation does not change.

use std::collections::HashSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::stages::augment::error::AugmentError;
use crate::stages::augment::error::{file_digest, read_text};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::External;

/// The words that stay unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopWords {
    /// The list of a language by its ISO 639-1 code, such as `en`, `de` or `zh`. The lists are
    /// NLTK's, or Stopwords ISO's for other languages.
    Language(String),
    /// The lines of a text file (relative to this file), one word each.
    File(String),
    /// These words.
    Words(Vec<String>),
    /// No stop words: every word may change.
    None,
}

impl Default for StopWords {
    fn default() -> StopWords {
        StopWords::Language("en".to_owned())
    }
}

impl StopWords {
    /// Checks the settings; a field is named by its key below the method.
    pub fn check(&self) -> Vec<CheckError> {
        let StopWords::Language(code) = self else { return Vec::new() };
        match stop_words::lookup(code) {
            Some(_) => Vec::new(),
            None => vec![
                CheckError::new(
                    "stop_words.language",
                    format!("there is no list of stop words for `{code}`"),
                )
                .hint(format!(
                    "the languages are {}; give a list of your own with `stop_words: {{ file: \
                     PATH }}`",
                    stop_words::available_languages().join(", ")
                )),
            ],
        }
    }

    /// Lists the files that the words depend on.
    pub fn externals(&self, folder: &Path) -> Result<Vec<External>, StageError> {
        match self {
            StopWords::File(name) => Ok(vec![file_digest(folder, name, WHAT)?]),
            _ => Ok(Vec::new()),
        }
    }

    /// Reads the words.
    pub fn list(&self, folder: &Path) -> Result<StopWordList, StageError> {
        let list =
            |words: &mut dyn Iterator<Item = &str>| StopWordList(words.map(folded).collect());
        Ok(match self {
            StopWords::Language(code) => {
                list(&mut stop_words::lookup(code).unwrap_or_default().iter().copied())
            }
            StopWords::File(name) => {
                let text = read_text(folder, name, WHAT)?;
                list(&mut text.lines().map(str::trim).filter(|word| !word.is_empty()))
            }
            StopWords::Words(words) => list(&mut words.iter().map(String::as_str)),
            StopWords::None => StopWordList::default(),
        })
    }
}

const WHAT: &str = "list of stop words";

/// Words in lower case; only membership is looked up.
#[derive(Clone, Debug, Default)]
pub struct StopWordList(HashSet<String>);

impl StopWordList {
    /// Returns whether a lower-case word is a stop word.
    pub fn contains(&self, word: &str) -> bool {
        if word.contains('’') { self.0.contains(&folded(word)) } else { self.0.contains(word) }
    }
}

/// Returns the word in lower case with one kind of apostrophe.
fn folded(word: &str) -> String {
    word.to_lowercase().replace('’', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(stop_words: &StopWords) -> StopWordList {
        stop_words.list(Path::new(".")).unwrap_or_default()
    }

    #[test]
    fn grammar_is_told_from_content() {
        let english = list(&StopWords::default());
        for word in ["the", "where", "don't", "don’t", "yourselves"] {
            assert!(english.contains(word), "{word}");
        }
        for word in ["card", "", "like", "need", "want"] {
            assert!(!english.contains(word), "{word}");
        }
        assert!(list(&StopWords::Language("de".into())).contains("und"));
        assert!(list(&StopWords::Words(vec!["Card".into()])).contains("card"));
        assert!(!list(&StopWords::None).contains("the"));
    }

    #[test]
    fn a_list_of_ones_own_is_a_file_of_lines() -> Result<(), StageError> {
        let folder = tempfile::tempdir().map_err(AugmentError::from)?;
        fs_err::write(folder.path().join("own.txt"), "Foo\r\n\n bar \n")
            .map_err(AugmentError::from)?;
        let own = StopWords::File("own.txt".into());
        let words = own.list(folder.path())?;
        assert!(words.contains("foo") && words.contains("bar") && !words.contains(""));
        assert_eq!(own.externals(folder.path())?.len(), 1);
        let missing = StopWords::File("none.txt".into());
        for error in [missing.list(folder.path()).err(), missing.externals(folder.path()).err()] {
            let message = error.map(|error| error.to_string());
            assert_eq!(message.as_deref(), Some("there is no list of stop words `none.txt`"));
        }
        Ok(())
    }

    #[test]
    fn an_unknown_language_is_told_which_there_are() {
        assert!(StopWords::default().check().is_empty());
        let problems = StopWords::Language("xx".into()).check();
        assert!(problems[0].hint.as_ref().is_some_and(|hint| hint.contains("en, ")));
    }
}
