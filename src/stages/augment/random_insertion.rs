//! Random insertion.

use std::collections::BTreeSet;
use std::path::Path;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method::{Generated, Generator, Method};
use super::stop_words::is_stop_word;
use super::synonyms::{Synonyms, Thesaurus};
use super::words::Words;
use crate::base::report::Report;
use crate::stages::stage::{CheckError, Ctx, External, StageError};
use crate::table::Example;

/// Inserts synonyms of random words at random places (EDA, Wei & Zou 2019, arXiv 1901.11196, section 2).
///
/// n = max(1, ⌊rate·l⌋) times for a text of l words: a random synonym of a random word of the text that is not a stop word, at a
/// random place, both ends included. Case and punctuation stay as they are, unlike in the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomInsertion {
    /// The share of the words that are inserted, above 0 and at most 1; EDA's α.
    #[serde(default = "default_rate")]
    pub rate: f64,
    /// How many texts to make of each original.
    #[serde(default = "default_copies")]
    pub copies: usize,
    /// Where synonyms come from.
    #[serde(default)]
    pub synonyms: Synonyms,
}

fn default_rate() -> f64 {
    0.1
}

fn default_copies() -> usize {
    1
}

impl Method for RandomInsertion {
    fn copies(&self) -> usize {
        self.copies
    }

    fn check(&self) -> Vec<CheckError> {
        let mut errors = self.synonyms.check();
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            errors.push(
                CheckError::new(
                    "rate",
                    format!("`rate` is {}; expected a share above 0 and at most 1", self.rate),
                )
                .hint("0.1 inserts one word into each text of up to 19 words, two from 20 on"),
            );
        }
        if self.copies == 0 {
            errors.push(
                CheckError::new("copies", "`copies` is 0; expected at least 1")
                    .hint("remove the method to generate nothing"),
            );
        }
        errors
    }

    fn externals(&self, folder: &Path, fetch: Option<&dyn Report>) -> Result<Vec<External>, StageError> {
        self.synonyms.externals(folder, fetch)
    }

    fn fit(&self, ctx: &dyn Ctx, train: &[&Example]) -> Result<Box<dyn Generator>, StageError> {
        let words: BTreeSet<String> =
            train.iter().flat_map(|example| content_words(&Words::of(&example.text))).collect();
        Ok(Box::new(Inserter { rate: self.rate, thesaurus: self.synonyms.thesaurus(ctx, &words)? }))
    }
}

/// Random insertion with its synonyms at hand.
struct Inserter {
    rate: f64,
    thesaurus: Thesaurus,
}

impl Generator for Inserter {
    fn generate(&self, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let mut words = Words::of(&original.text);
        // Only the text's own words are asked for synonyms, not those inserted already: the meaning would drift.
        let choices: Vec<&[String]> = content_words(&words)
            .iter()
            .map(|word| self.thesaurus.synonyms(word))
            .filter(|synonyms| !synonyms.is_empty())
            .collect();
        if choices.is_empty() {
            return None;
        }
        for _ in 0..insertions(self.rate, words.len()) {
            let synonyms = choices[random.random_range(0..choices.len())];
            let synonym = &synonyms[random.random_range(0..synonyms.len())];
            let place = random.random_range(0..=words.len());
            words.insert(place, synonym);
        }
        Some(Generated { text: words.to_string(), other_parents: Vec::new() })
    }
}

/// n = max(1, ⌊rate·l⌋).
fn insertions(rate: f64, words: usize) -> usize {
    ((rate * words as f64) as usize).max(1)
}

/// The words that may be asked for synonyms, in lower case and as often as they stand.
fn content_words(words: &Words<'_>) -> Vec<String> {
    words.bare().map(str::to_lowercase).filter(|word| !word.is_empty() && !is_stop_word(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use proptest::prelude::*;

    fn inserter(rate: f64) -> Inserter {
        let entry = |word: &str, synonyms: &[&str]| {
            (word.to_owned(), synonyms.iter().map(|s| (*s).to_owned()).collect())
        };
        let entries =
            [entry("card", &["cards", "ticket"]), entry("große", &["kleine"]), entry("the", &["a"])];
        Inserter { rate, thesaurus: Thesaurus::from(entries) }
    }

    fn example(text: &str) -> Example {
        Example { id: "row-1".into(), text: text.into(), label: 1, parents: Vec::new(), method: None }
    }

    fn made(rate: f64, text: &str, seed: u64) -> Option<String> {
        let generated = inserter(rate).generate(&example(text), &mut stream(seed, &["test"], 0));
        generated.map(|generated| generated.text)
    }

    /// Says whether `part` is `whole` with words taken out.
    fn is_subsequence(part: &str, whole: &str) -> bool {
        let mut rest = whole.split_whitespace();
        part.split_whitespace().all(|word| rest.any(|candidate| candidate == word))
    }

    #[test]
    fn the_number_of_insertions_is_the_papers() {
        let table =
            [(0.1, 1, 1), (0.1, 9, 1), (0.1, 19, 1), (0.1, 20, 2), (0.3, 10, 3), (1.0, 7, 7), (0.05, 39, 1)];
        for (rate, words, expected) in table {
            assert_eq!(insertions(rate, words), expected, "{rate} {words}");
        }
    }

    #[test]
    fn a_text_without_synonyms_gives_nothing() {
        assert_eq!(made(0.5, "where is the?", 1), None);
        assert_eq!(made(0.5, "!!!", 1), None);
        assert_eq!(made(0.5, "", 1), None);
    }

    #[test]
    fn every_place_and_every_synonym_comes_up() {
        let texts: BTreeSet<String> =
            (0..200).filter_map(|seed| made(0.1, "the Card, broke", seed)).collect();
        let expected = ["cards", "ticket"].into_iter().flat_map(|word| {
            [
                format!("{word} the Card, broke"),
                format!("the {word} Card, broke"),
                format!("the Card, {word} broke"),
                format!("the Card, broke {word}"),
            ]
        });
        assert_eq!(texts, expected.collect());
    }

    proptest! {
        #[test]
        fn exactly_n_words_are_added_and_the_rest_is_kept(
            words in prop::collection::vec("\\PC{0,6}|card|Große!|CARD?", 1..40), rate in 0.01..1.0_f64, seed: u64,
        ) {
            let text = words.join(" ") + " (Card)";
            let generated = made(rate, &text, seed);
            prop_assert_eq!(&generated, &made(rate, &text, seed));
            let generated = generated.unwrap_or_default();
            let before = text.split_whitespace().count();
            prop_assert_eq!(generated.split_whitespace().count(), before + insertions(rate, before));
            prop_assert!(is_subsequence(&text, &generated));
        }

        #[test]
        fn no_text_makes_it_fail(text in any::<String>(), seed: u64) {
            if let Some(generated) = made(0.3, &text, seed) {
                prop_assert!(!generated.trim().is_empty());
            }
        }
    }
}
