//! What is learnt from a data set, and which of its texts must not be scored.

use std::collections::BTreeMap;

use super::dataset::{DataSet, Example};
use super::seen::Seen;
use super::split::Split;

impl DataSet {
    /// Returns what a training on the data set sees: its train, its dev, and all that the makers of
    /// its texts have seen.
    pub fn seen_by_training(&self) -> Seen {
        let mut seen = self.own_seen();
        seen.add(&self.seen);
        seen
    }

    /// Returns the texts without labels, as what a method that reads them has trained on.
    pub fn seen_without_labels(&self) -> Seen {
        let mut seen = Seen::default();
        for unlabelled in &self.unlabelled {
            seen.add_text(Split::Train, &unlabelled.text.joined());
        }
        seen
    }

    /// Returns the examples of a split that were seen, each with the split as which. Texts that the
    /// data set itself has in the splits that are learnt from, or without labels, do not count:
    /// whoever made it has allowed them.
    pub fn leaks(&self, seen: &Seen, scored: Split) -> Vec<(&Example, Split)> {
        let as_what = |seen: &Seen, example: &Example| seen.as_what(&example.text.joined(), scored);
        let examples = self.splits.get(scored).iter();
        let mut leaks: Vec<(&Example, Split)> =
            examples.filter_map(|example| Some((example, as_what(seen, example)?))).collect();
        if !leaks.is_empty() {
            let mut own = self.own_seen();
            own.add(&self.seen_without_labels());
            leaks.retain(|(example, _)| as_what(&own, example).is_none());
        }
        leaks
    }

    /// Returns for each train text the place of the original that it comes from, of the first where
    /// it was made from several; an original comes from itself.
    pub fn families(&self) -> Vec<usize> {
        let train = &self.splits.train;
        let places: BTreeMap<&str, usize> =
            train.iter().enumerate().map(|(place, text)| (text.id.as_str(), place)).collect();
        let mut families = Vec::with_capacity(train.len());
        for start in 0..train.len() {
            let mut place = start;
            // Parents stand before their children; what does not is taken for an original.
            while let Some(parent) = train[place].parents().first()
                && let Some(&above) = places.get(parent.as_str())
                && above < place
            {
                place = above;
            }
            families.push(place);
        }
        families
    }

    fn own_seen(&self) -> Seen {
        let mut seen = Seen::default();
        for (split, examples) in self.splits.iter() {
            for example in examples {
                seen.add_text(split, &example.text.joined());
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Splits, Task, Unlabelled};

    fn data(train: &[&str], dev: &[&str], test: &[&str]) -> DataSet {
        let examples =
            |texts: &[&str]| texts.iter().map(|text| Example::original(*text, *text, 0)).collect();
        DataSet {
            task: Task::Classes { labels: vec!["a".into()] },
            splits: Splits { train: examples(train), dev: examples(dev), test: examples(test) },
            ..DataSet::default()
        }
    }

    fn found(seen: &Seen, data: &DataSet, scored: Split) -> Vec<(String, Split)> {
        let found = data.leaks(seen, scored).into_iter();
        found.map(|(example, split)| (example.id.clone(), split)).collect()
    }

    #[test]
    fn what_was_learnt_from_is_found_in_test_and_dev() {
        let seen = data(&["one", "two"], &["three"], &["four"]).seen_by_training();
        // This one has `two` in its own train too.
        let other = data(&["two"], &[], &["three", "four", "ONE", "two"]);
        assert_eq!(
            found(&seen, &other, Split::Test),
            [("three".to_owned(), Split::Dev), ("ONE".to_owned(), Split::Train)]
        );
        let other = data(&[], &["three", "One"], &[]);
        assert_eq!(found(&seen, &other, Split::Dev), [("One".to_owned(), Split::Train)]);
        assert_eq!(found(&seen, &data(&["one"], &[], &[]), Split::Train), []);
    }

    #[test]
    fn texts_without_labels_count_where_they_are_read() {
        let mut pool = data(&["one"], &[], &["four"]);
        let text = |text: &str| Unlabelled { id: text.into(), text: text.into() };
        pool.unlabelled = vec![text("two"), text("four")];
        let seen = pool.seen_without_labels();
        let other = data(&[], &[], &["two", "three"]);
        assert_eq!(found(&seen, &other, Split::Test), [("two".to_owned(), Split::Train)]);
        // Whoever made the data set has allowed the one that stands in its own test.
        assert_eq!(found(&seen, &pool, Split::Test), []);
    }

    #[test]
    fn what_the_makers_of_texts_have_seen_counts_too() {
        let mut made = data(&["new"], &[], &[]);
        made.seen = data(&["old"], &[], &[]).seen_by_training();
        let seen = made.seen_by_training();
        let test = data(&["else"], &[], &["old", "new", "none"]);
        assert_eq!(found(&seen, &test, Split::Test).len(), 2);
    }
}
