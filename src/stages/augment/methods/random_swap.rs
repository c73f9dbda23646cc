//! Random swap.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::Example;
use crate::stages::augment::language::words::Words;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, changes, check_rate, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::Ctx;

settings! {
    /// Exchanges random words (EDA, Wei & Zou 2019, arXiv 1901.11196, section 2).
    ///
    /// For a text of l words, n = max(1, ⌊rate·l⌋) times: exchanges two words at different random
    /// places. Punctuation stays in place.
    pub struct RandomSwap {
        /// The number of swaps as a share of the words, above 0 and at most 1; EDA's α.
        #[serde(default = "default_rate")]
        pub rate: f64,
    }
}

fn default_rate() -> f64 {
    0.1
}

impl Method for RandomSwap {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        check_rate("rate", self.rate, "0.1 swaps once in texts of up to 19 words, twice from 20 on")
    }

    fn fit(
        &self,
        _: &dyn Ctx,
        _: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        Ok(Box::new(Swapper { rate: self.rate }))
    }
}

/// Random swap.
pub(super) struct Swapper {
    pub rate: f64,
}

impl OneByOne for Swapper {
    fn one(&self, text: &str, _: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let mut words = Words::of(text);
        let l = words.len();
        if l < 2 {
            return None;
        }
        for _ in 0..changes(self.rate, l) {
            let one = random.random_range(0..l);
            // One of the others, all equally likely.
            let other = (one + random.random_range(1..l)) % l;
            words.swap(one, other);
        }
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
    fn one_swap_exchanges_any_two_words() {
        let texts: BTreeSet<String> =
            (0..100).filter_map(|seed| text(&Swapper { rate: 0.1 }, "a B, c!", seed)).collect();
        assert_eq!(texts, ["B a, c!", "c B, a!", "a c, B!"].map(str::to_owned).into());
        assert_eq!(text(&Swapper { rate: 1.0 }, "alone!", 1), None);
    }

    proptest! {
        #[test]
        fn n_swaps_move_at_most_twice_as_many_words_and_keep_all(
            l in 2..60_usize, rate in 0.01..1.0_f64, seed: u64,
        ) {
            let source: Vec<String> = (0..l).map(|word| format!("w{word}")).collect();
            let made = text(&Swapper { rate }, &source.join(" "), seed).unwrap_or_default();
            let words: Vec<&str> = made.split(' ').collect();
            let pairs = words.iter().zip(&source);
            let moved = pairs.filter(|(after, before)| *after != before).count();
            prop_assert!(moved <= 2 * changes(rate, l));
            let sorted: BTreeSet<&str> = words.iter().copied().collect();
            prop_assert_eq!(sorted, source.iter().map(String::as_str).collect());
        }

        #[test]
        fn no_text_makes_it_fail(any in any::<String>(), rate in 0.01..1.0_f64, seed: u64) {
            let signs = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
            for source in TRICKY.into_iter().chain([any.as_str()]) {
                let made = text(&Swapper { rate }, source, seed);
                prop_assert_eq!(&made, &text(&Swapper { rate }, source, seed));
                prop_assert!(made.is_none_or(|made| signs(&made) == signs(source)));
            }
        }
    }
}
