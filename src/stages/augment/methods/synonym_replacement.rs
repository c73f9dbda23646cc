//! Synonym replacement.

use std::collections::HashMap;
use std::path::Path;

use rand::RngExt;
use rand::seq::SliceRandom;
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
    /// Replaces random words by synonyms (EDA, Wei & Zou 2019, arXiv 1901.11196, section 2).
    ///
    /// In a text of l words, n = max(1, ⌊rate·l⌋) different words that are not stop words are
    /// replaced, or fewer if fewer have synonyms. All occurrences of a word get the same random
    /// synonym. Capitals and punctuation stay as they are, unlike in the authors' code.
    pub struct SynonymReplacement {
        /// The share of the words to replace, above 0 and at most 1; EDA's α.
        #[serde(default = "default_rate")]
        pub rate: f64,
        /// The source of synonyms.
        #[serde(default)]
        pub synonyms: Synonyms,
        /// Words that stay unchanged.
        #[serde(default)]
        pub stop_words: StopWords,
    }
}

fn default_rate() -> f64 {
    0.1
}

impl Method for SynonymReplacement {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let rate = check_rate(
            "rate",
            self.rate,
            "0.1 replaces one word in texts of up to 19 words, two from 20 on",
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
        Ok(Box::new(Replacer { rate: self.rate, vocabulary }))
    }
}

/// Synonym replacement with its loaded synonyms.
pub(super) struct Replacer<V> {
    pub rate: f64,
    pub vocabulary: V,
}

impl<V: AsRef<Vocabulary> + Sync> OneByOne for Replacer<V> {
    fn one(&self, text: &str, _: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let mut words = Words::of(text);
        let vocabulary = self.vocabulary.as_ref();
        let found = vocabulary.find(&words);
        let mut distinct: Vec<usize> = Vec::with_capacity(found.len());
        let mut places: HashMap<usize, Vec<usize>> = HashMap::with_capacity(found.len());
        for (place, entry) in found {
            let known = places.entry(entry).or_default();
            if known.is_empty() {
                distinct.push(entry);
            }
            known.push(place);
        }
        if distinct.is_empty() {
            return None;
        }
        let n = changes(self.rate, words.len()).min(distinct.len());
        let (chosen, _) = distinct.partial_shuffle(random, n);
        for entry in chosen {
            let synonyms = vocabulary.synonyms(*entry);
            let synonym = &synonyms[random.random_range(0..synonyms.len())];
            for place in &places[entry] {
                words.replace(*place, synonym);
            }
        }
        Some(Generated::of(words.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::{TRICKY, text, vocabulary};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn replacer(rate: f64) -> Replacer<Vocabulary> {
        Replacer { rate, vocabulary: vocabulary() }
    }

    #[test]
    fn every_occurrence_of_a_word_gets_the_same_synonym_with_its_capitals() {
        let texts: BTreeSet<String> = (0..50)
            .filter_map(|seed| text(&replacer(0.1), "The card, my Card - (CARD)!", seed))
            .collect();
        let expected = ["The ticket, my Ticket - (TICKET)!", "The pass, my Pass - (PASS)!"];
        assert_eq!(texts, expected.map(str::to_owned).into());
    }

    #[test]
    fn n_words_are_replaced_and_stop_words_are_not() {
        let long = "the card was lost in a very very long and winding große sentence the end";
        for (rate, expected) in [(0.1, 1), (0.14, 2), (0.2, 3), (1.0, 3)] {
            for seed in 0..20 {
                let made = text(&replacer(rate), long, seed).unwrap_or_default();
                let differing = long
                    .split(' ')
                    .zip(made.split(' '))
                    .filter(|(before, after)| before != after)
                    .count();
                assert_eq!(differing, expected, "{made}");
                assert!(
                    made.starts_with("the ") && made.ends_with(" the end"),
                    "`the` has a synonym and is a stop word"
                );
            }
        }
        assert_eq!(text(&replacer(1.0), "the the", 1), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(any in any::<String>(), rate in 0.01..1.0_f64, seed: u64) {
            for source in TRICKY.into_iter().chain([any.as_str()]) {
                let source = format!("{source} lost");
                let made = text(&replacer(rate), &source, seed);
                prop_assert_eq!(&made, &text(&replacer(rate), &source, seed));
                prop_assert!(made.is_some_and(|made| !made.trim().is_empty() && made != source));
            }
        }
    }
}
