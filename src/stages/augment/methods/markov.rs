//! Markov chains.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::data::Example;
use crate::stages::augment::language::class_texts::ClassTexts;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::Ctx;

settings! {
    /// Draws new texts from a Markov chain over the words of each class.
    ///
    /// The chain has the given order, with marks for beginning and end. It uses add-δ smoothing
    /// with back-off. After a context h that was seen c(h) times, the next word comes from the
    /// counts of h with probability c(h) / (c(h) + δ). Otherwise it comes from the context without
    /// its first word. The last resort is a uniform draw from all words of the class. With a
    /// temperature T the counts are raised to the power 1/T. A text is drawn again if it copies
    /// more than `max_copy` words in a row from one original, or is longer than the longest
    /// original.
    ///
    /// With few texts a high order mostly copies; see the copy rate in the stage's table.
    pub struct Markov {
        /// The number of words that the next word depends on: 1 to 3.
        #[serde(default = "default_order")]
        pub order: usize,
        /// The smoothing δ, above 0.
        #[serde(default = "default_smoothing")]
        pub smoothing: f64,
        /// The temperature T, above 0: values below 1 favour likely words, values above 1 unlikely
        /// ones.
        #[serde(default = "default_temperature")]
        pub temperature: f64,
        /// The longest run of words that may be copied from one original.
        #[serde(default = "default_max_copy")]
        pub max_copy: usize,
    }
}

fn default_order() -> usize {
    2
}

fn default_smoothing() -> f64 {
    0.1
}

fn default_temperature() -> f64 {
    1.0
}

fn default_max_copy() -> usize {
    6
}

/// The draws of a text that copies too much or does not end, before it is given up.
const DRAWS: usize = 50;

impl Method for Markov {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let mut errors = Vec::new();
        if !(1..=3).contains(&self.order) {
            errors.push(CheckError::new(
                "order",
                format!("`order` is {}; expected 1, 2 or 3", self.order),
            ));
        }
        for (field, value) in [("smoothing", self.smoothing), ("temperature", self.temperature)] {
            if !(value > 0.0 && value.is_finite()) {
                errors.push(CheckError::new(
                    field,
                    format!("`{field}` is {value}; expected a number above 0"),
                ));
            }
        }
        if self.max_copy == 0 {
            let error =
                CheckError::new("max_copy", "`max_copy` is 0; every single word is a run of one");
            errors.push(error.hint("1 forbids pairs of words that occur in an original"));
        }
        errors
    }

    fn starts_anew(&self) -> bool {
        true
    }

    fn fit(
        &self,
        _: &dyn Ctx,
        train: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        let chain = |(class, texts): (&usize, &Arc<ClassTexts>)| {
            let longest = texts.sequences().iter().map(Vec::len).max().unwrap_or(0);
            let chain = Chain::fit(texts.sequences(), self.order, self.smoothing, self.temperature);
            (*class, Class { texts: Arc::clone(texts), chain, longest })
        };
        let classes = train.class_texts().par_iter().map(chain).collect();
        Ok(Box::new(Sampler { classes, max_copy: self.max_copy }))
    }
}

/// The chains of all classes.
struct Sampler {
    classes: BTreeMap<usize, Class>,
    max_copy: usize,
}

struct Class {
    texts: Arc<ClassTexts>,
    chain: Chain,
    longest: usize,
}

impl OneByOne for Sampler {
    fn one(&self, _: &str, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let Class { texts, chain, longest } = self.classes.get(&original.class())?;
        let fits = |words: &Vec<u32>| {
            let known: Vec<Option<u32>> = words.iter().copied().map(Some).collect();
            texts.longest_run(&known) <= self.max_copy
        };
        let words = (0..DRAWS).find_map(|_| chain.draw(*longest, random).filter(fits))?;
        Some(Generated { text: texts.text(&words), parents: texts.parents(&words) })
    }
}

/// The mark of a beginning in contexts and of an end among next words.
const MARK: u32 = u32::MAX;

/// A Markov chain over word numbers.
struct Chain {
    order: usize,
    smoothing: f64,
    vocabulary: u32,
    /// The words that followed each context of `order` words and fewer.
    next: BTreeMap<Vec<u32>, Followers>,
}

/// The words that follow one context.
#[derive(Default)]
struct Followers {
    count: f64,
    words: Vec<u32>,
    /// The running sum of the counts raised to 1/T.
    cumulative: Vec<f64>,
}

impl Chain {
    fn fit(sequences: &[Vec<u32>], order: usize, smoothing: f64, temperature: f64) -> Chain {
        let mut counts: BTreeMap<Vec<u32>, BTreeMap<u32, u64>> = BTreeMap::new();
        let mut vocabulary = 0;
        for sequence in sequences {
            vocabulary = sequence.iter().map(|word| word + 1).max().unwrap_or(0).max(vocabulary);
            let mut marked = vec![MARK; order];
            marked.extend(sequence);
            marked.push(MARK);
            for end in order..marked.len() {
                for start in end - order..=end {
                    let followers = match counts.get_mut(&marked[start..end]) {
                        Some(followers) => followers,
                        None => counts.entry(marked[start..end].to_vec()).or_default(),
                    };
                    *followers.entry(marked[end]).or_default() += 1;
                }
            }
        }
        let followers = |counts: BTreeMap<u32, u64>| {
            let mut followers = Followers::default();
            let mut sum = 0.0;
            // Relative to the greatest, so that no power overflows.
            let most = counts.values().copied().max().unwrap_or(1) as f64;
            for (word, count) in counts {
                followers.count += count as f64;
                sum += (count as f64 / most).powf(1.0 / temperature);
                followers.words.push(word);
                followers.cumulative.push(sum);
            }
            followers
        };
        let next =
            counts.into_iter().map(|(context, counts)| (context, followers(counts))).collect();
        Chain { order, smoothing, vocabulary, next }
    }

    /// Draws a text of at most `longest` words; `None` if it is longer or empty.
    fn draw(&self, longest: usize, random: &mut ChaCha8Rng) -> Option<Vec<u32>> {
        let mut words = vec![MARK; self.order];
        loop {
            let next = self.next_word(&words[words.len() - self.order..], random);
            if next == MARK {
                break;
            }
            if words.len() == self.order + longest {
                return None;
            }
            words.push(next);
        }
        words.drain(..self.order);
        (!words.is_empty()).then_some(words)
    }

    fn next_word(&self, context: &[u32], random: &mut ChaCha8Rng) -> u32 {
        for start in 0..=context.len() {
            let Some(followers) = self.next.get(&context[start..]) else { continue };
            if random.random::<f64>() * (followers.count + self.smoothing) < followers.count {
                let sum = followers.cumulative.last().copied().unwrap_or(0.0);
                let point = random.random::<f64>() * sum;
                let at = followers.cumulative.partition_point(|sum| *sum <= point);
                return followers.words[at.min(followers.words.len() - 1)];
            }
        }
        // All words and the end alike.
        match random.random_range(0..=self.vocabulary) {
            end if end == self.vocabulary => MARK,
            word => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use crate::stages::augment::methods::testing::{examples, originals};

    fn share(chain: &Chain, context: &[u32], word: u32) -> f64 {
        let mut random = stream(1, &["test"], 0);
        let draws = 40_000;
        (0..draws).filter(|_| chain.next_word(context, &mut random) == word).count() as f64
            / f64::from(draws)
    }

    #[test]
    fn next_words_have_the_probabilities_of_the_definition() {
        // After 0: 1 three times, 2 once. All words: 0 ×4, 1 ×3, 2 ×1, ends ×4.
        let sequences = vec![vec![0, 1], vec![0, 1], vec![0, 1], vec![0, 2]];
        let delta = 2.0;
        let chain = Chain::fit(&sequences, 1, delta, 1.0);
        let unigram = |count: f64| (count + delta * 0.25) / (12.0 + delta);
        let expected = |count: f64, of_all: f64| (count + delta * unigram(of_all)) / (4.0 + delta);
        for (word, probability) in [
            (1, expected(3.0, 3.0)),
            (2, expected(1.0, 1.0)),
            (0, expected(0.0, 4.0)),
            (MARK, expected(0.0, 4.0)),
        ] {
            assert!((share(&chain, &[0], word) - probability).abs() < 0.01, "{word}");
        }
        let cold = Chain::fit(&sequences, 1, 1e-9, 0.5);
        assert!((share(&cold, &[0], 1) - 0.9).abs() < 0.01, "3² against 1²");
        assert!(
            (share(&cold, &[7], 0) - 16.0 / (16.0 + 9.0 + 1.0 + 16.0)).abs() < 0.01,
            "an unseen context backs off"
        );
    }

    #[test]
    fn texts_stay_in_their_class_are_new_and_know_their_parents()
    -> Result<(), Box<dyn std::error::Error>> {
        let texts = [
            ("where is my new card", 0),
            ("where is the nearest bank", 0),
            ("is my new bank open", 0),
            ("the end", 1),
            ("the start", 1),
        ];
        let examples = examples(&texts);
        let labels = ["p".to_owned(), "q".to_owned()];
        let train = originals(&labels, &examples);
        let class = |max_copy, smoothing| {
            let classes = train.class_texts().iter().map(|(class, texts)| {
                let chain = Chain::fit(texts.sequences(), 1, smoothing, 1.0);
                (*class, Class { texts: Arc::clone(texts), chain, longest: 6 })
            });
            Sampler { classes: classes.collect(), max_copy }
        };
        let sampler = class(4, 0.01);
        let mut made = 0;
        for seed in 0..200 {
            let Some(generated) = sampler.one("", &examples[0], &mut stream(seed, &["test"], 0))
            else {
                continue;
            };
            made += 1;
            assert!(
                !texts.iter().any(|(text, _)| *text == generated.text),
                "more than four words of one text: {generated:?}"
            );
            assert!(!generated.text.contains("end") && !generated.parents.is_empty());
            assert!(
                generated
                    .parents
                    .iter()
                    .all(|id| ["row-0", "row-1", "row-2"].contains(&id.as_str()))
            );
        }
        assert!(made > 100);
        assert_eq!(
            class(1, 1e-12).one("", &examples[3], &mut stream(1, &["test"], 0)),
            None,
            "every text of this class has a pair of an original's words"
        );
        Ok(())
    }
}
