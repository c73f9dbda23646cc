//! EDA: the four operations in equal parts.

use std::path::Path;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::random_deletion::Deleter;
use super::random_insertion::Inserter;
use super::random_swap::Swapper;
use super::synonym_replacement::Replacer;
use crate::base::report::Report;
use crate::data::Example;
use crate::stages::augment::language::stop_words::StopWords;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, check_rate, settings,
};
use crate::stages::augment::synonyms::{Synonyms, Vocabulary};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

settings! {
    /// EDA (Wei & Zou 2019, arXiv 1901.11196): makes each copy by synonym replacement, random
    /// insertion, random swap or random deletion, all equally likely.
    ///
    /// An operation that finds nothing to change passes the text to the next. The default rate and
    /// copies are the paper's for the size of train (table 3): 0.05 and 16 up to 500 texts, 0.05
    /// and 8 up to 2000, 0.1 and 4 beyond. Synonyms, capitals and punctuation are treated as in the
    /// four single methods.
    pub struct Eda {
        /// The share of the words to change, above 0 and at most 1: α of the first three operations
        /// and p of the last.
        #[serde(default)]
        pub rate: Option<f64>,
        /// The source of synonyms.
        #[serde(default)]
        pub synonyms: Synonyms,
        /// Words that the first two operations do not change.
        #[serde(default)]
        pub stop_words: StopWords,
    }
}

/// Returns the rate and the number of copies that the paper recommends for a train set of this size
/// (table 3).
fn recommended(originals: usize) -> (f64, usize) {
    match originals {
        0..=500 => (0.05, 16),
        501..=2000 => (0.05, 8),
        _ => (0.1, 4),
    }
}

impl Method for Eda {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn default_copies(&self, originals: usize) -> usize {
        recommended(originals).1
    }

    fn check(&self) -> Vec<CheckError> {
        let hint = "leave it out for the paper's rate by the size of train";
        let rate = self.rate.map(|rate| check_rate("rate", rate, hint)).unwrap_or_default();
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
        let rate = self.rate.unwrap_or_else(|| recommended(train.examples.len()).0);
        Ok(Box::new(Mixer::new(
            rate,
            Vocabulary::of(ctx, train, &self.synonyms, &self.stop_words)?,
        )))
    }
}

/// The four operations.
struct Mixer(Vec<Box<dyn OneByOne>>);

impl Mixer {
    fn new(rate: f64, vocabulary: Vocabulary) -> Mixer {
        let vocabulary = Arc::new(vocabulary);
        Mixer(vec![
            Box::new(Replacer { rate, vocabulary: Arc::clone(&vocabulary) }),
            Box::new(Inserter { rate, vocabulary }),
            Box::new(Swapper { rate }),
            Box::new(Deleter { rate }),
        ])
    }
}

impl OneByOne for Mixer {
    fn one(&self, text: &str, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let start = random.random_range(0..self.0.len());
        // A text without synonyms, or of one word, goes to the next operation that can change it.
        let mut operations = self.0.iter().cycle().skip(start).take(self.0.len());
        operations.find_map(|operation| operation.one(text, original, random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::{TRICKY, text, vocabulary};
    use proptest::prelude::*;

    #[test]
    fn the_table_is_the_papers() {
        let table = [
            (8, 0.05, 16),
            (500, 0.05, 16),
            (501, 0.05, 8),
            (2000, 0.05, 8),
            (5000, 0.1, 4),
            (90_000, 0.1, 4),
        ];
        for (originals, rate, copies) in table {
            assert_eq!(recommended(originals), (rate, copies), "{originals}");
        }
    }

    #[test]
    fn the_four_operations_are_equally_likely() {
        let source = "my card fell behind some heavy old wooden furniture";
        let mixer = Mixer::new(0.1, vocabulary());
        let mut counts = [0; 4];
        for seed in 0..4000 {
            let Some(made) = text(&mixer, source, seed) else { continue };
            let before: Vec<&str> = source.split(' ').collect();
            let after: Vec<&str> = made.split(' ').collect();
            let mut sorted = (before.clone(), after.clone());
            sorted.0.sort_unstable();
            sorted.1.sort_unstable();
            match after.len().cmp(&before.len()) {
                std::cmp::Ordering::Greater => counts[0] += 1,
                std::cmp::Ordering::Equal if made == source => counts[3] += 1,
                std::cmp::Ordering::Equal if sorted.0 == sorted.1 => counts[1] += 1,
                std::cmp::Ordering::Equal => counts[2] += 1,
                std::cmp::Ordering::Less => counts[3] += 1,
            }
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail_or_becomes_empty(
            any in any::<String>(), rate in 0.01..1.0_f64, seed: u64,
        ) {
            let mixer = Mixer::new(rate, vocabulary());
            for source in TRICKY.into_iter().chain([any.as_str()]) {
                prop_assert!(text(&mixer, source, seed).is_none_or(|made| !made.trim().is_empty()));
            }
        }
    }
}
