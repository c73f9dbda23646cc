//! The texts of one class as sequences of words.

use std::collections::HashMap;

use super::verbatim::Verbatim;
use super::words::{Words, join};
use crate::data::Example;

/// The original texts of one class as sequences of word numbers. A word is the text between two
/// spaces, with its capitals and punctuation.
pub struct ClassTexts {
    ids: Vec<String>,
    /// The words by number, in the order of their first occurrence.
    words: Vec<String>,
    /// The number of each word; only single keys are looked up.
    numbers: HashMap<String, u32>,
    sequences: Vec<Vec<u32>>,
    verbatim: Verbatim,
}

impl ClassTexts {
    /// Reads the texts.
    pub fn of(examples: &[&Example]) -> ClassTexts {
        let (mut words, mut numbers) = (Vec::new(), HashMap::new());
        let mut sequences = Vec::with_capacity(examples.len());
        for example in examples {
            let number = |surface: String| {
                *numbers.entry(surface).or_insert_with_key(|surface| {
                    words.push(surface.clone());
                    words.len() as u32 - 1
                })
            };
            sequences.push(Words::of(&example.text.first).surfaces().map(number).collect());
        }
        let verbatim = Verbatim::of(&sequences);
        let ids = examples.iter().map(|example| example.id.clone()).collect();
        ClassTexts { ids, words, numbers, sequences, verbatim }
    }

    /// Returns the texts as word numbers.
    pub fn sequences(&self) -> &[Vec<u32>] {
        &self.sequences
    }

    /// Returns V, the number of different words.
    pub fn vocabulary(&self) -> usize {
        self.words.len()
    }

    /// Returns the numbers of a text's words; `None` for a word that no original has.
    pub fn numbers(&self, text: &str) -> Vec<Option<u32>> {
        Words::of(text).surfaces().map(|surface| self.numbers.get(&surface).copied()).collect()
    }

    /// Returns a word by its number.
    pub fn word(&self, number: u32) -> &str {
        &self.words[number as usize]
    }

    /// Writes words out.
    pub fn text(&self, sequence: &[u32]) -> String {
        join(sequence.iter().filter_map(|&word| self.words.get(word as usize)).map(String::as_str))
    }

    /// Returns the length of the longest run of words that occurs in one of the originals.
    pub fn longest_run(&self, sequence: &[Option<u32>]) -> usize {
        self.verbatim.longest_run(sequence)
    }

    /// Returns the share of a text's words in its longest run from one original: 1 for a copy.
    pub fn copied_share(&self, text: &str) -> f64 {
        let numbers = self.numbers(text);
        self.longest_run(&numbers) as f64 / numbers.len().max(1) as f64
    }

    /// Returns the ids of originals whose runs make up a sequence, from the left, each run as long
    /// as possible.
    pub fn parents(&self, sequence: &[u32]) -> Vec<String> {
        let mut parents: Vec<String> = Vec::new();
        for text in self.verbatim.sources(sequence) {
            let id = &self.ids[text];
            if !parents.contains(id) {
                parents.push(id.clone());
            }
        }
        parents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::examples;

    #[test]
    fn runs_and_parents_are_found() {
        let examples = examples(&[
            ("where is my card", 0),
            ("where is the nearest bank?", 0),
            ("my card is lost", 0),
        ]);
        let texts = ClassTexts::of(&examples.iter().collect::<Vec<_>>());
        assert_eq!(texts.vocabulary(), 8);
        assert_eq!(texts.copied_share("where is my card"), 1.0);
        assert_eq!(texts.copied_share("Where is my card"), 0.75, "capitals count");
        assert_eq!(texts.copied_share("my card is the nearest bank?"), 4.0 / 6.0);
        assert_eq!(texts.copied_share("something else"), 0.0);
        assert_eq!(texts.copied_share(""), 0.0);
        let numbers: Vec<u32> =
            texts.numbers("my card is the nearest bank?").into_iter().flatten().collect();
        assert_eq!(texts.parents(&numbers), ["row-2", "row-1"]);
        assert_eq!(texts.text(&numbers), "my card is the nearest bank?");
    }
}
