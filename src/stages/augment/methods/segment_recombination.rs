//! Segment recombination.

use std::collections::{BTreeMap, HashMap, HashSet};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::data::Example;
use crate::stages::augment::language::words::{Words, join};
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, OneByOne, Originals, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::Ctx;

settings! {
    /// Combines segments of several texts of a class.
    ///
    /// The texts are cut into segments. A copy has m segments, at least 2, with m drawn from the
    /// segment counts of the class's texts. One segment comes from the original, one from another
    /// text, the others from any text of the class. They are ordered by their relative places in
    /// their texts. A text longer than `max_words` is cut, and dropped if only one original is left
    /// in it.
    pub struct SegmentRecombination {
        /// The kind of segments.
        #[serde(default)]
        pub segments: Segments,
        /// The longest text to make, in words.
        #[serde(default = "default_max_words")]
        pub max_words: usize,
    }
}

fn default_max_words() -> usize {
    64
}

/// The kind of segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Segments {
    /// Pieces of this many words.
    Windows(usize),
    /// Sentences (Unicode's UAX 29).
    Sentences,
}

impl Default for Segments {
    fn default() -> Segments {
        Segments::Windows(5)
    }
}

impl Segments {
    fn cut(&self, text: &str) -> Vec<String> {
        match self {
            Segments::Windows(size) => Words::of(text).pieces(*size),
            Segments::Sentences => text
                .unicode_sentences()
                .map(|sentence| sentence.trim().to_owned())
                .filter(|s| !s.is_empty())
                .collect(),
        }
    }
}

impl Method for SegmentRecombination {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let mut errors = Vec::new();
        if self.segments == Segments::Windows(0) {
            errors.push(CheckError::new(
                "segments.windows",
                "`windows` is 0; expected at least one word",
            ));
        }
        if self.max_words < 2 {
            errors.push(CheckError::new("max_words", "expected room for at least two words"));
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
        let cut = |texts: Vec<&Example>| {
            let texts = texts
                .into_iter()
                .map(|example| (example.id.clone(), self.segments.cut(&example.text.first)));
            texts.filter(|(_, segments)| !segments.is_empty()).collect()
        };
        let classes: BTreeMap<usize, Cut> =
            train.by_class().into_iter().map(|(class, texts)| (class, cut(texts))).collect();
        Ok(Box::new(Recombiner::new(classes, self.max_words)))
    }
}

/// The segments of the texts of a class, by the texts' ids.
type Cut = Vec<(String, Vec<String>)>;

/// The segments of every class, by their text.
struct Recombiner {
    classes: BTreeMap<usize, Cut>,
    /// The place of each text in its class.
    places: HashMap<String, usize>,
    max_words: usize,
}

impl Recombiner {
    fn new(classes: BTreeMap<usize, Cut>, max_words: usize) -> Recombiner {
        let texts = classes.values().flat_map(|texts| texts.iter().enumerate());
        let places = texts.map(|(place, (id, _))| (id.clone(), place)).collect();
        Recombiner { classes, places, max_words }
    }
}

impl OneByOne for Recombiner {
    fn one(&self, _: &str, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
        let texts = self.classes.get(&original.class())?;
        let own = *self.places.get(&original.id)?;
        if texts.len() < 2 {
            return None;
        }
        let m = texts[random.random_range(0..texts.len())].1.len().max(2);
        let mut chosen: Vec<(f64, usize, &str)> = Vec::with_capacity(m);
        for index in 0..m {
            let text = match index {
                0 => own,
                1 => (own + random.random_range(1..texts.len())) % texts.len(),
                _ => random.random_range(0..texts.len()),
            };
            let segments = &texts[text].1;
            let segment = random.random_range(0..segments.len());
            let place = (segment as f64 + 0.5) / segments.len() as f64;
            chosen.push((place, text, &segments[segment]));
        }
        // Equal places keep the order of the draws.
        chosen.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut room = self.max_words;
        chosen.retain(|(_, _, segment)| {
            let fits = room > 0;
            room = room.saturating_sub(Words::of(segment).len());
            fits
        });
        let joined = join(chosen.iter().map(|(_, _, segment)| *segment));
        // The last segment may exceed the limit.
        let text = Words::of(&joined).pieces(self.max_words).into_iter().next()?;
        let mut seen = HashSet::new();
        let ids = chosen.into_iter().map(|(_, text, _)| &texts[text].0);
        let parents: Vec<String> = ids.filter(|id| seen.insert(*id)).cloned().collect();
        (parents.len() > 1).then_some(Generated { text, parents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use crate::stages::augment::methods::testing::examples;
    use std::collections::BTreeSet;

    fn recombiner(
        segments: Segments,
        texts: &[(&str, usize)],
        max_words: usize,
    ) -> (Recombiner, Vec<Example>) {
        let examples = examples(texts);
        let mut classes: BTreeMap<usize, Vec<(String, Vec<String>)>> = BTreeMap::new();
        for example in &examples {
            classes
                .entry(example.class())
                .or_default()
                .push((example.id.clone(), segments.cut(&example.text.first)));
        }
        (Recombiner::new(classes, max_words), examples)
    }

    #[test]
    fn segments_keep_their_relative_order_and_come_from_two_texts() {
        let texts = [("a1 a2 a3 a4", 0), ("b1 b2 b3 b4 b5 b6", 0), ("other", 1)];
        let (recombiner, examples) = recombiner(Segments::Windows(2), &texts, 100);
        let mut made = BTreeSet::new();
        for seed in 0..300 {
            let Some(generated) = recombiner.one("", &examples[0], &mut stream(seed, &["test"], 0))
            else {
                panic!("two texts are there")
            };
            let parents: BTreeSet<&str> = generated.parents.iter().map(String::as_str).collect();
            assert_eq!(parents, BTreeSet::from(["row-0", "row-1"]));
            assert!(!generated.text.contains("other"));
            made.insert(generated.text);
        }
        assert!(made.contains("a1 a2 b3 b4") && made.contains("b1 b2 a1 a2 b5 b6"), "{made:?}");
        assert!(
            !made.contains("b3 b4 a1 a2"),
            "a1 a2 is before the middle of its text, b3 b4 in it: {made:?}"
        );
        let alone = recombiner.one("", &examples[2], &mut stream(1, &["test"], 0));
        assert_eq!(alone, None, "a class of one text has no second parent");
    }

    #[test]
    fn sentences_are_cut_where_they_end_and_long_texts_are_cut() {
        assert_eq!(
            Segments::Sentences.cut("Lost it. Where? 丢了。在哪？"),
            ["Lost it.", "Where?", "丢了。", "在哪？"]
        );
        let (recombiner, examples) =
            recombiner(Segments::Sentences, &[("One two. Three.", 0), ("Four five six.", 0)], 3);
        for seed in 0..50 {
            let generated = recombiner.one("", &examples[0], &mut stream(seed, &["test"], 0));
            let Some(generated) = generated else { continue };
            assert!(generated.text.split(' ').count() <= 3);
            assert!(
                generated.parents.len() == 2
                    && generated.text.contains("our")
                    && !generated.text.starts_with("One two Three")
            );
        }
    }
}
