//! AEDA: punctuation marks at random places.

use std::borrow::Cow;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::Example;
use crate::stages::augment::language::words::Words;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, check_rate, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::Ctx;

settings! {
    /// AEDA (Karimi, Rossi & Prati 2021, arXiv 2108.13230): inserts punctuation marks before random
    /// words.
    ///
    /// A text of l words gets q ~ U{1, …, ⌊rate·l + 1⌋} random marks of `. , ! ? ; :`, but at most
    /// l, before words at different random places.
    pub struct Aeda {
        /// The largest number of marks as a share of the words, above 0 and at most 1.
        #[serde(default = "default_rate")]
        pub rate: f64,
    }
}

fn default_rate() -> f64 {
    0.3
}

const MARKS: [&str; 6] = [".", ",", "!", "?", ";", ":"];

impl Method for Aeda {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        check_rate("rate", self.rate, "0.3, the paper's, inserts up to four marks into ten words")
    }

    fn fit(
        &self,
        _: &dyn Ctx,
        _: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        Ok(Box::new(Marker { rate: self.rate }))
    }
}

/// AEDA.
struct Marker {
    rate: f64,
}

impl OneByOne for Marker {
    fn one(&self, text: &str, _: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let mut words = Words::of(text);
        let l = words.len();
        if l == 0 {
            return None;
        }
        let most = ((self.rate * l as f64 + 1.0) as usize).min(l);
        let q = random.random_range(1..=most);
        let mut places = rand::seq::index::sample(random, l, q).into_vec();
        // From the end, so that the places before do not move.
        places.sort_unstable_by(|a, b| b.cmp(a));
        let drawn = |place| (place, Cow::Borrowed(MARKS[random.random_range(0..MARKS.len())]));
        words.insert_in_turn(places.into_iter().map(drawn).collect());
        Some(Generated::of(words.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::{TRICKY, text};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn marks_stand_before_words() {
        let texts: BTreeSet<String> =
            (0..200).filter_map(|seed| text(&Marker { rate: 0.3 }, "a b!", seed)).collect();
        let expected = MARKS
            .iter()
            .flat_map(|mark| [format!("{mark} a b!"), format!("a {mark} b!")])
            .collect();
        assert_eq!(texts, expected);
    }

    proptest! {
        #[test]
        fn between_one_and_the_most_are_added(l in 1..60_usize, rate in 0.01..1.0_f64, seed: u64) {
            let source = vec!["word"; l].join(" ");
            let made = text(&Marker { rate }, &source, seed).unwrap_or_default();
            let words: Vec<&str> = made.split(' ').collect();
            let added = words.len() - l;
            prop_assert!(added >= 1 && added <= ((rate * l as f64 + 1.0) as usize).min(l));
            prop_assert!(words.windows(2).all(|pair| pair[0] == "word" || pair[1] == "word"));
            prop_assert_eq!(words.last(), Some(&"word"));
        }

        #[test]
        fn no_text_makes_it_fail(any in any::<String>(), seed: u64) {
            for source in TRICKY.into_iter().chain([any.as_str()]) {
                let made = text(&Marker { rate: 0.3 }, source, seed);
                prop_assert_eq!(made.is_none(), source.trim().is_empty());
                prop_assert!(made.is_none_or(|made| made.len() > source.len()));
            }
        }
    }
}
