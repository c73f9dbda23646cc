//! Random deletion.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use smallvec::SmallVec;

use crate::data::Example;
use crate::stages::augment::language::words::Words;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, check_rate, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::Ctx;

settings! {
    /// Deletes each word with a probability (EDA, Wei & Zou 2019, arXiv 1901.11196, section 2).
    ///
    /// If all words would go, one random word is kept. A text of one word stays unchanged. A text
    /// that loses no word is drawn again, at most ten times.
    pub struct RandomDeletion {
        /// The probability p to delete a word, above 0 and at most 1.
        #[serde(default = "default_rate")]
        pub rate: f64,
    }
}

fn default_rate() -> f64 {
    0.1
}

impl Method for RandomDeletion {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        check_rate("rate", self.rate, "0.1 deletes every tenth word on average")
    }

    fn fit(
        &self,
        _: &dyn Ctx,
        _: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        Ok(Box::new(Deleter { rate: self.rate }))
    }
}

/// The draws of a text that loses no word.
const DRAWS: usize = 10;

/// Random deletion.
pub(super) struct Deleter {
    pub rate: f64,
}

impl OneByOne for Deleter {
    fn one(&self, text: &str, _: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let words = Words::of(text);
        let l = words.len();
        if l < 2 {
            return None;
        }
        // Keep a word if u > p, with u of 32 bits.
        let p = (self.rate * 2.0_f64.powi(32)) as u64;
        for _ in 0..DRAWS {
            // One bit per word.
            let mut bits: SmallVec<[u64; 4]> = SmallVec::from_elem(0, l.div_ceil(64));
            for place in 0..l {
                bits[place / 64] |= u64::from(u64::from(random.next_u32()) >= p) << (place % 64);
            }
            match bits.iter().map(|bits| bits.count_ones() as usize).sum::<usize>() {
                0 => {
                    let survivor = random.random_range(0..l);
                    return Some(Generated::of(words.text_of(|place| place == survivor)));
                }
                // Nothing is gone.
                all if all == l => {}
                _ => {
                    return Some(Generated::of(
                        words.text_of(|place| bits[place / 64] >> (place % 64) & 1 == 1),
                    ));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::{TRICKY, text};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn one_word_of_all_is_left() {
        let texts: BTreeSet<String> =
            (0..50).filter_map(|seed| text(&Deleter { rate: 1.0 }, "a b c", seed)).collect();
        assert_eq!(texts, ["a", "b", "c"].map(str::to_owned).into());
        assert_eq!(text(&Deleter { rate: 1.0 }, "alone!", 1), None);
    }

    #[test]
    fn the_share_that_goes_is_the_rate() {
        let source = vec!["w"; 1000].join(" ");
        for rate in [0.1, 0.5, 0.9] {
            let left =
                text(&Deleter { rate }, &source, 7).map_or(0, |made| made.split(' ').count());
            // Four deviations of a binomial.
            let deviation = (1000.0 * rate * (1.0 - rate)).sqrt();
            assert!(
                (left as f64 - 1000.0 * (1.0 - rate)).abs() < 4.0 * deviation,
                "{rate}: {left}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail_or_becomes_empty(
            any in any::<String>(), rate in 0.01..1.0_f64, seed: u64,
        ) {
            for source in TRICKY.into_iter().chain([any.as_str()]) {
                let made = text(&Deleter { rate }, source, seed);
                prop_assert_eq!(&made, &text(&Deleter { rate }, source, seed));
                let is_shorter = |made: &str| made.len() <= source.len();
                prop_assert!(made.is_none_or(|made| !made.trim().is_empty() && is_shorter(&made)));
            }
        }
    }
}
