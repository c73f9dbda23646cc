//! Random insertion.

use std::borrow::Cow;
use std::path::Path;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::base::report::Report;
use crate::data::Example;
use crate::stages::augment::language::stop_words::StopWords;
use crate::stages::augment::language::words::Words;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, changes, check_rate, settings,
};
use crate::stages::augment::synonyms::{Synonyms, Vocabulary};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

settings! {
    /// Inserts synonyms of random words at random places (EDA, Wei & Zou 2019, arXiv 1901.11196,
    /// section 2).
    ///
    /// For a text of l words, n = max(1, ⌊rate·l⌋) times: takes a random synonym of a random word
    /// that is not a stop word, and inserts it at a random place, both ends included. Case and
    /// punctuation stay as they are, unlike in the authors' code.
    pub struct RandomInsertion {
        /// The number of inserted words as a share of the text's words, above 0 and at most 1;
        /// EDA's α.
        #[serde(default = "default_rate")]
        pub rate: f64,
        /// The source of synonyms.
        #[serde(default)]
        pub synonyms: Synonyms,
        /// Words whose synonyms are not inserted.
        #[serde(default)]
        pub stop_words: StopWords,
    }
}

fn default_rate() -> f64 {
    0.1
}

impl Method for RandomInsertion {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let rate = check_rate(
            "rate",
            self.rate,
            "0.1 inserts one word into each text of up to 19 words, two from 20 on",
        );
        [Vocabulary::check(&self.synonyms, &self.stop_words), rate].concat()
    }

    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        Vocabulary::externals(&self.synonyms, &self.stop_words, folder, fetch)
    }

    fn fit(
        &self,
        ctx: &dyn Ctx,
        train: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        let vocabulary = Vocabulary::of(ctx, train, &self.synonyms, &self.stop_words)?;
        Ok(Box::new(Inserter { rate: self.rate, vocabulary }))
    }
}

/// Random insertion with its loaded synonyms.
pub(super) struct Inserter<V> {
    pub rate: f64,
    pub vocabulary: V,
}

impl<V: AsRef<Vocabulary> + Sync> OneByOne for Inserter<V> {
    fn one(&self, text: &str, _: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let mut words = Words::of(text);
        let vocabulary = self.vocabulary.as_ref();
        // Only the original words get synonyms, not the inserted ones, because the meaning would
        // drift.
        let choices = vocabulary.find(&words);
        if choices.is_empty() {
            return None;
        }
        let l = words.len();
        let new = (0..changes(self.rate, l)).map(|inserted| {
            let synonyms = vocabulary.synonyms(choices[random.random_range(0..choices.len())].1);
            let synonym = &synonyms[random.random_range(0..synonyms.len())];
            let place = random.random_range(0..=l + inserted);
            (place, Cow::Borrowed(synonym.as_str()))
        });
        let new = new.collect();
        words.insert_in_turn(new);
        Some(Generated::of(words.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::{TRICKY, text, vocabulary};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn made(rate: f64, source: &str, seed: u64) -> Option<String> {
        text(&Inserter { rate, vocabulary: vocabulary() }, source, seed)
    }

    /// Returns whether `part` is `whole` without some of its words.
    fn is_subsequence(part: &str, whole: &str) -> bool {
        let mut rest = whole.split_whitespace();
        part.split_whitespace().all(|word| rest.any(|candidate| candidate == word))
    }

    #[test]
    fn the_number_of_insertions_is_the_papers() {
        let table = [
            (0.1, 1, 1),
            (0.1, 9, 1),
            (0.1, 19, 1),
            (0.1, 20, 2),
            (0.3, 10, 3),
            (1.0, 7, 7),
            (0.05, 39, 1),
        ];
        for (rate, words, expected) in table {
            assert_eq!(changes(rate, words), expected, "{rate} {words}");
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
        let expected = ["ticket", "pass"].into_iter().flat_map(|word| {
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
            words in prop::collection::vec("[a-zé!.א-ת]{0,6}|👍🏽|card|Große!|CARD?", 1..40),
            rate in 0.01..1.0_f64,
            seed: u64,
        ) {
            let text = words.join(" ") + " (Card)";
            let generated = made(rate, &text, seed);
            prop_assert_eq!(&generated, &made(rate, &text, seed));
            let generated = generated.unwrap_or_default();
            let before = text.split_whitespace().count();
            prop_assert_eq!(generated.split_whitespace().count(), before + changes(rate, before));
            prop_assert!(is_subsequence(&text, &generated));
        }

        #[test]
        fn no_text_makes_it_fail(any in any::<String>(), seed: u64) {
            for source in TRICKY.into_iter().chain([any.as_str()]) {
                let generated = made(0.3, &format!("{source} lost"), seed).unwrap_or_default();
                let known = ["gone", "ticket", "pass"];
                prop_assert!(known.iter().any(|word| generated.contains(word)));
            }
        }
    }
}
