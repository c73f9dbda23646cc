//! How train grows: ids, streams and what counts as new, the same for every method.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;

use super::method::Generator;
use crate::base::seed::stream;
use crate::table::normal::normalise;
use crate::table::{DataSet, Example};

/// The originals of a data set and every text that must not be made again.
pub(super) struct Growth<'a> {
    seed: u64,
    originals: Vec<&'a Example>,
    /// The last copy that each method has numbered so far, an earlier stage's included.
    numbered: BTreeMap<String, usize>,
    // Texts are normalised. The sets are only asked for members; their order reaches nothing.
    held_out: HashSet<String>,
    train: HashSet<String>,
    ids: HashSet<String>,
    leaks: usize,
    repeats: usize,
    unchanged: usize,
}

impl<'a> Growth<'a> {
    pub fn of(data: &'a DataSet, seed: u64) -> Growth<'a> {
        let texts =
            |examples: &[Example]| examples.iter().map(|e| normalise(&e.text)).collect::<HashSet<_>>();
        Growth {
            seed,
            originals: data.train.iter().filter(|example| example.method.is_none()).collect(),
            numbered: numbered(&data.train),
            held_out: texts(&data.dev).into_iter().chain(texts(&data.test)).collect(),
            train: texts(&data.train),
            ids: data.train.iter().map(|example| example.id.clone()).collect(),
            leaks: 0,
            repeats: 0,
            unchanged: 0,
        }
    }

    /// Returns the examples of train that nothing was made of before.
    pub fn originals(&self) -> &[&'a Example] {
        &self.originals
    }

    /// Returns how many made texts were dropped because dev or test has them.
    pub fn leaks(&self) -> usize {
        self.leaks
    }

    /// Returns how many made texts were dropped because train has them.
    pub fn repeats(&self) -> usize {
        self.repeats
    }

    /// Returns how many texts could not be made.
    pub fn unchanged(&self) -> usize {
        self.unchanged
    }

    /// Makes so many copies of each original and returns those that are new, by original and copy.
    pub fn grow(
        &mut self,
        name: &'static str,
        settings: &str,
        copies: usize,
        generator: &dyn Generator,
    ) -> Vec<Example> {
        // A second entry of the same method, or a second stage, numbers its copies on, so that it makes new ones.
        let numbered = self.numbered.entry(name.to_owned()).or_default();
        let numbers = *numbered + 1..=*numbered + copies;
        *numbered += copies;
        let seed = self.seed;
        let made: Vec<Option<Example>> = self
            .originals
            .par_iter()
            .flat_map_iter(|original| numbers.clone().map(move |copy| (*original, copy)))
            .map(|(original, copy)| {
                // Without the stage's id: renaming a stage changes no text.
                let mut random = stream(seed, &["augment", name, &original.id], copy as u64);
                let generated = generator.generate(original, &mut random)?;
                Some(Example {
                    id: format!("{}{MADE}{name}{COPY}{copy}", original.id),
                    text: generated.text,
                    label: original.label,
                    parents: std::iter::once(original.id.clone()).chain(generated.other_parents).collect(),
                    method: Some(settings.to_owned()),
                })
            })
            .collect();
        self.unchanged += made.iter().filter(|example| example.is_none()).count();
        // One after another, because each decides what is new for the next.
        made.into_iter().flatten().filter(|example| self.admits(example)).collect()
    }

    /// Says whether a made text is new, and knows it from then on.
    fn admits(&mut self, example: &Example) -> bool {
        let text = normalise(&example.text);
        if self.held_out.contains(&text) {
            self.leaks += 1;
            return false;
        }
        if self.train.contains(&text) || self.ids.contains(&example.id) {
            self.repeats += 1;
            return false;
        }
        self.ids.insert(example.id.clone());
        self.train.insert(text)
    }
}

/// What stands in a made example's id between its original's id, the method and the number of the copy.
const MADE: char = '+';
const COPY: char = '-';

/// Returns the last number that each method has given in a train set.
fn numbered(train: &[Example]) -> BTreeMap<String, usize> {
    let mut last = BTreeMap::new();
    for example in train.iter().filter(|example| example.method.is_some()) {
        let made = example.id.rsplit_once(MADE).and_then(|(_, made)| made.rsplit_once(COPY));
        let Some((name, copy)) = made.and_then(|(name, copy)| Some((name, copy.parse::<usize>().ok()?)))
        else {
            continue;
        };
        let last = last.entry(name.to_owned()).or_default();
        *last = copy.max(*last);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::method::Generated;
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;

    /// Appends one of three words, or nothing to a text that ends in a full stop.
    struct Appender;

    impl Generator for Appender {
        fn generate(&self, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
            let word = ["red", "green", "blue"][random.random_range(0..3)];
            (!original.text.ends_with('.'))
                .then(|| Generated { text: format!("{} {word}", original.text), other_parents: Vec::new() })
        }
    }

    fn example(id: &str, text: &str) -> Example {
        Example { id: id.into(), text: text.into(), label: 1, parents: Vec::new(), method: None }
    }

    fn data() -> DataSet {
        DataSet {
            labels: vec!["a".into(), "b".into()],
            train: (0..40).map(|row| example(&format!("row-{row}"), &format!("text {row}"))).collect(),
            dev: vec![example("row-50", "TEXT 0  red"), example("row-51", "text 0 green")],
            test: vec![example("row-52", "Text 0 blue")],
        }
    }

    fn texts(examples: &[Example]) -> Vec<(&str, &str)> {
        examples.iter().map(|example| (example.id.as_str(), example.text.as_str())).collect()
    }

    #[test]
    fn held_out_texts_and_repeats_are_dropped_and_counted() {
        let mut data = data();
        data.train.truncate(2);
        data.train.push(example("row-2", "nothing to do."));
        let mut growth = Growth::of(&data, 13);
        let made = growth.grow("append", "{}", 10, &Appender);
        assert_eq!(growth.leaks(), 10, "every copy of the first text is in dev or test");
        assert_eq!(growth.unchanged(), 10);
        assert_eq!(made.len() + growth.repeats(), 10);
        let distinct: HashSet<&str> = made.iter().map(|example| example.text.as_str()).collect();
        assert_eq!(distinct.len(), made.len());
        assert!(
            made.iter().all(|e| e.parents == ["row-1"] && e.label == 1 && e.method.as_deref() == Some("{}"))
        );
        assert_eq!(made[0].id, "row-1+append-1");
    }

    #[test]
    fn the_number_of_threads_and_other_examples_change_nothing() -> Result<(), rayon::ThreadPoolBuildError> {
        let data = data();
        let with = |threads| -> Result<Vec<Example>, rayon::ThreadPoolBuildError> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            Ok(pool.install(|| Growth::of(&data, 13).grow("append", "{}", 3, &Appender)))
        };
        let (one, four) = (with(1)?, with(4)?);
        assert_eq!(one, four);
        let mut fewer = data.clone();
        fewer.train.drain(..39);
        let last = Growth::of(&fewer, 13).grow("append", "{}", 3, &Appender);
        assert_eq!(texts(&last), texts(&one[one.len() - last.len()..]));
        assert_ne!(one, Growth::of(&data, 14).grow("append", "{}", 3, &Appender));
        Ok(())
    }

    #[test]
    fn a_second_entry_of_a_method_numbers_on() {
        let mut data = data();
        data.train.drain(..39);
        let mut growth = Growth::of(&data, 13);
        let mut ids: Vec<String> = Vec::new();
        for _ in 0..2 {
            ids.extend(growth.grow("append", "{}", 6, &Appender).into_iter().map(|example| example.id));
        }
        let distinct: HashSet<&String> = ids.iter().collect();
        assert!(distinct.len() == ids.len() && ids.len() <= 3);
        assert_eq!(ids.len() + growth.repeats(), 12);
    }

    #[test]
    fn made_texts_are_no_originals_for_the_next_stage() {
        let mut data = data();
        let made = Growth::of(&data, 13).grow("append", "{}", 1, &Appender);
        data.train.extend(made.clone());
        let mut again = Growth::of(&data, 13);
        assert_eq!(again.originals().len(), 40);
        // Two stages of one method make what one with both copies makes.
        let more = again.grow("append", "{}", 1, &Appender);
        data.train.truncate(40);
        let both = Growth::of(&data, 13).grow("append", "{}", 2, &Appender);
        assert!(!more.is_empty());
        assert_eq!(more, both.into_iter().filter(|e| e.id.ends_with("-2")).collect::<Vec<_>>());
        assert!(made.iter().all(|e| e.id.ends_with("-1")));
    }
}
