//! Coarse-graining.

use std::collections::{BTreeMap, HashMap};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::Example;
use crate::stages::augment::language::words::{Words, join};
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::Ctx;

settings! {
    /// Joins whole texts of a class.
    ///
    /// A copy is the original followed by others of its class in random order. Their number is
    /// drawn: at least one, at most as many as fit into `max_words`.
    pub struct CoarseGraining {
        /// The longest text to make, in words.
        #[serde(default = "default_max_words")]
        pub max_words: usize,
    }
}

fn default_max_words() -> usize {
    64
}

impl Method for CoarseGraining {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let small = CheckError::new("max_words", "expected room for at least two words");
        if self.max_words < 2 { vec![small] } else { Vec::new() }
    }

    fn fit(
        &self,
        _: &dyn Ctx,
        train: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        Ok(Box::new(Joiner::new(self.max_words, train)))
    }
}

/// A text of a class with its length in words, of which it has one at least.
struct Text {
    id: String,
    text: String,
    words: usize,
}

/// The texts of a class, and the length of the shortest.
struct Class {
    texts: Vec<Text>,
    shortest: usize,
}

/// The texts of every class.
struct Joiner {
    classes: BTreeMap<usize, Class>,
    /// The place of each text in its class.
    places: HashMap<String, usize>,
    max_words: usize,
}

impl Joiner {
    fn new(max_words: usize, train: &Originals<'_>) -> Joiner {
        let text = |example: &Example| {
            let text = example.text.first.trim().to_owned();
            let words = Words::of(&text).len();
            (words > 0).then(|| Text { id: example.id.clone(), words, text })
        };
        let class = |texts: Vec<&Example>| {
            let texts: Vec<Text> = texts.into_iter().filter_map(text).collect();
            let shortest = texts.iter().map(|text| text.words).min().unwrap_or(0);
            Class { texts, shortest }
        };
        let classes: BTreeMap<usize, Class> =
            train.by_class().into_iter().map(|(number, texts)| (number, class(texts))).collect();
        let texts = classes.values().flat_map(|class| class.texts.iter().enumerate());
        let places = texts.map(|(place, text)| (text.id.clone(), place)).collect();
        Joiner { classes, places, max_words }
    }
}

impl OneByOne for Joiner {
    fn one(&self, text: &str, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let Class { texts, shortest } = self.classes.get(&original.class())?;
        let own = self.places.get(&original.id).copied();
        // Places are moved instead of texts: this is done for each text of the class.
        let mut order: Vec<u32> = (0..texts.len())
            .filter(|place| Some(*place) != own)
            .map(|place| place as u32)
            .collect();
        order.shuffle(random);
        let mut room = self.max_words.checked_sub(Words::of(text).len())?;
        let mut others: Vec<&Text> = Vec::new();
        for other in order.into_iter().map(|place| &texts[place as usize]) {
            if room < *shortest {
                break;
            }
            if other.words <= room {
                room -= other.words;
                others.push(other);
            }
        }
        if others.is_empty() {
            return None;
        }
        others.truncate(random.random_range(1..=others.len()));
        let text = join(
            std::iter::once(text.trim()).chain(others.iter().map(|other| other.text.as_str())),
        );
        let parents = std::iter::once(&original.id)
            .chain(others.iter().map(|other| &other.id))
            .cloned()
            .collect();
        Some(Generated { text, parents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use crate::stages::augment::methods::testing::{examples, originals};
    use std::collections::BTreeSet;

    #[test]
    fn whole_texts_of_the_class_are_joined_up_to_the_limit() {
        let examples = examples(&[
            ("a a", 0),
            (" b b b ", 0),
            ("c", 0),
            ("x", 1),
            ("y", 1),
            ("a very long one", 2),
            ("z", 2),
        ]);
        let labels = ["p", "q", "r"].map(str::to_owned);
        let joiner = Joiner::new(4, &originals(&labels, &examples));
        let made = |row: usize| -> BTreeSet<String> {
            let one = |seed| {
                joiner.one(
                    &examples[row].text.first,
                    &examples[row],
                    &mut stream(seed, &["test"], 0),
                )
            };
            (0..50)
                .filter_map(one)
                .map(|made| format!("{} {}", made.text, made.parents.join(",")))
                .collect()
        };
        assert_eq!(made(0), ["a a c row-0,row-2"].map(str::to_owned).into());
        assert_eq!(made(2), ["c a a row-2,row-0", "c b b b row-2,row-1"].map(str::to_owned).into());
        assert_eq!(made(3), ["x y row-3,row-4"].map(str::to_owned).into());
        assert!(made(5).is_empty(), "there is no room for another");
    }
}
