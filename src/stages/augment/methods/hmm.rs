//! Hidden Markov models.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::seed::stream;
use crate::data::Example;
use crate::stages::augment::language::class_texts::ClassTexts;
use crate::stages::augment::language::hidden_markov::HiddenMarkov;
use crate::stages::augment::language::weighted::draw;
use crate::stages::augment::language::words::Words;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, check_rate, settings,
};
use crate::stages::contract::error::{CheckError, Interrupted, StageError};
use crate::stages::contract::stage::Ctx;

settings! {
    /// Draws words from a hidden Markov model of each class, fitted by Baum-Welch (Rabiner 1989) on
    /// the class's original texts.
    ///
    /// The likeliest of `restarts` randomly initialised models is taken. The word probabilities of
    /// its states are then mixed with the word frequencies of the class.
    pub struct Hmm {
        /// Whether single words or whole texts are drawn.
        #[serde(default)]
        pub mode: Mode,
        /// The probability to redraw a word (`resample`), above 0 and at most 1.
        #[serde(default = "default_rate")]
        pub rate: f64,
        /// The number of hidden states.
        #[serde(default = "default_states")]
        pub states: usize,
        /// The number of Baum-Welch iterations.
        #[serde(default = "default_iterations")]
        pub iterations: usize,
        /// The number of random initialisations.
        #[serde(default = "default_restarts")]
        pub restarts: usize,
        /// The share ε of the class's word frequencies in the word probabilities of every state,
        /// from 0 to below 1.
        #[serde(default = "default_smoothing")]
        pub smoothing: f64,
    }
}

/// Whether single words or whole texts are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Redraws words of an original, each from its state on the likeliest path (Viterbi).
    #[default]
    Resample,
    /// Draws whole texts: states, then their words. A text longer than the longest original is
    /// drawn again.
    Sample,
}

fn default_rate() -> f64 {
    0.3
}

fn default_states() -> usize {
    8
}

fn default_iterations() -> usize {
    25
}

fn default_restarts() -> usize {
    2
}

fn default_smoothing() -> f64 {
    0.05
}

/// The draws of a text that does not end, before it is given up.
const DRAWS: usize = 50;

impl Method for Hmm {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let mut errors = check_rate("rate", self.rate, "0.3 redraws three words in ten");
        if !(1..=256).contains(&self.states) {
            errors.push(CheckError::new(
                "states",
                format!("`states` is {}; expected 1 to 256", self.states),
            ));
        }
        for (field, value) in [("iterations", self.iterations), ("restarts", self.restarts)] {
            if !(1..=1000).contains(&value) {
                errors.push(CheckError::new(
                    field,
                    format!("`{field}` is {value}; expected 1 to 1000"),
                ));
            }
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            let message =
                format!("`smoothing` is {}; expected a share from 0 to below 1", self.smoothing);
            errors.push(CheckError::new("smoothing", message));
        }
        errors
    }

    fn starts_anew(&self) -> bool {
        self.mode == Mode::Sample
    }

    fn fit(
        &self,
        ctx: &dyn Ctx,
        train: &Originals<'_>,
        seed: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        let fitted = train.class_texts().par_iter().map(|(class, texts)| {
            // The stream depends on the name of the class, so other classes do not affect it.
            let beginning =
                |start: usize| stream(seed, &["hmm", &train.labels[*class]], start as u64);
            let (sequences, vocabulary) = (texts.sequences(), texts.vocabulary());
            let beginnings = (0..self.restarts).map(beginning);
            let (mut model, _) = HiddenMarkov::fit(
                sequences,
                vocabulary,
                self.states,
                self.iterations,
                beginnings,
                &|| ctx.interrupted(),
            )?;
            model.smooth(sequences, self.smoothing);
            let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
            Some((
                *class,
                Class {
                    emissions: model.cumulative_emissions(),
                    model,
                    texts: Arc::clone(texts),
                    longest,
                },
            ))
        });
        let fitted: Option<BTreeMap<usize, Class>> = fitted.collect();
        let classes = fitted.ok_or(Interrupted)?;
        Ok(Box::new(Sampler { classes, mode: self.mode, rate: self.rate }))
    }
}

/// The models of all classes.
struct Sampler {
    classes: BTreeMap<usize, Class>,
    mode: Mode,
    rate: f64,
}

struct Class {
    texts: Arc<ClassTexts>,
    model: HiddenMarkov,
    emissions: Vec<Vec<f64>>,
    longest: usize,
}

impl OneByOne for Sampler {
    fn one(&self, text: &str, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let class = self.classes.get(&original.class())?;
        if class.texts.vocabulary() == 0 {
            return None;
        }
        match self.mode {
            Mode::Resample => class.resample(text, self.rate, random),
            Mode::Sample => class.sample(random),
        }
    }
}

impl Class {
    fn resample(&self, text: &str, rate: f64, random: &mut ChaCha8Rng) -> Option<Generated> {
        let mut words = Words::of(text);
        let states = self.model.decode(&self.texts.numbers(text));
        for (place, state) in states.into_iter().enumerate() {
            if random.random::<f64>() < rate {
                words.set(place, self.texts.word(draw(&self.emissions[state], random) as u32));
            }
        }
        (!words.is_empty()).then(|| Generated::of(words.text()))
    }

    fn sample(&self, random: &mut ChaCha8Rng) -> Option<Generated> {
        let states = (0..DRAWS).find_map(|_| self.model.draw_states(self.longest, random))?;
        let words: Vec<u32> =
            states.into_iter().map(|state| draw(&self.emissions[state], random) as u32).collect();
        Some(Generated { text: self.texts.text(&words), parents: self.texts.parents(&words) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::copies;

    const TEXTS: [(&str, usize); 3] =
        [("where is  my card", 0), ("where is the nearest bank", 0), ("my card is gone", 0)];

    #[test]
    fn resampling_keeps_the_length_and_draws_from_the_class()
    -> Result<(), Box<dyn std::error::Error>> {
        for generated in copies(r#"{"hmm": {"states": 3, "rate": 0.5}}"#, &TEXTS, 50)? {
            let generated = generated.ok_or("nothing was made")?;
            assert!(generated.parents.is_empty(), "the original alone");
            assert_eq!(generated.text.split_whitespace().count(), 4);
            assert!(
                generated.text != TEXTS[0].0 && generated.text.contains("  "),
                "spaces stay: {generated:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn sampling_makes_whole_texts_and_names_parents() -> Result<(), Box<dyn std::error::Error>> {
        let made = copies(r#"{"hmm": {"mode": "sample", "states": 3}}"#, &TEXTS, 50)?;
        let made: Vec<Generated> = made.into_iter().flatten().collect();
        assert!(made.len() > 40);
        for generated in made {
            let length = generated.text.split(' ').count();
            assert!((1..=5).contains(&length) && !generated.parents.is_empty(), "{generated:?}");
        }
        Ok(())
    }

    #[test]
    fn a_class_of_one_word_gives_nothing_new() -> Result<(), Box<dyn std::error::Error>> {
        for text in ["hello", ""] {
            assert_eq!(copies(r#"{"hmm": {}}"#, &[(text, 0)], 3)?, [None, None, None]);
        }
        Ok(())
    }
}
