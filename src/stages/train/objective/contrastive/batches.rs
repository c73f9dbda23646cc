//! Batches in which texts meet others of their own class and of other classes.

use rand::Rng;
use rand::seq::SliceRandom;

/// The texts of a data set by class, and how they are cut into batches.
///
/// With few classes every batch has all of them, each with its share of its texts. With many, a
/// batch has some classes with [`GROUP`] texts of each. A label text joins each batch that its
/// class is in.
#[derive(Clone, Debug)]
pub(super) struct ByClass {
    /// The texts of each class that has some.
    classes: Vec<Vec<usize>>,
    /// The label text of each of these classes.
    label_texts: Vec<Option<usize>>,
}

/// The texts of a class in a batch that has not room for all classes.
const GROUP: usize = 2;

impl ByClass {
    /// Sorts texts, given the class of each. `label_texts` are the rows of the classes' label
    /// texts; empty where there are none.
    pub(super) fn new(labels: &[usize], label_texts: &[usize]) -> ByClass {
        let count = labels.iter().max().map_or(0, |most| most + 1);
        let mut all = vec![Vec::new(); count];
        for (text, &class) in labels.iter().enumerate() {
            all[class].push(text);
        }
        let mut by_class = ByClass { classes: Vec::new(), label_texts: Vec::new() };
        for (class, texts) in all.into_iter().enumerate().filter(|(_, texts)| !texts.is_empty()) {
            by_class.classes.push(texts);
            by_class.label_texts.push(label_texts.get(class).copied());
        }
        by_class
    }

    fn has_label_texts(&self) -> bool {
        self.label_texts.iter().any(Option::is_some)
    }

    /// Returns the number of batches if each has all classes; `None` if there are too many.
    fn of_all_classes(&self, batch_size: usize) -> Option<usize> {
        let own = usize::from(self.has_label_texts());
        let classes = self.classes.len();
        let room = batch_size.checked_sub(classes * own)?;
        let texts: usize = self.classes.iter().map(Vec::len).sum();
        (room >= classes * GROUP).then(|| texts.div_ceil(room).max(1))
    }

    /// Returns the number of classes of a batch that has not room for all.
    fn classes_of_batch(&self, batch_size: usize) -> usize {
        (batch_size / (GROUP + usize::from(self.has_label_texts()))).max(2)
    }

    /// Returns the number of batches of an epoch.
    pub(super) fn count(&self, batch_size: usize) -> usize {
        if let Some(count) = self.of_all_classes(batch_size) {
            return count;
        }
        let groups = self.classes.iter().map(|texts| groups(texts.len())).max().unwrap_or(0);
        let in_round = |round: usize| {
            self.classes.iter().filter(|texts| groups_more_than(texts.len(), round)).count()
        };
        let most = self.classes_of_batch(batch_size);
        (0..groups).map(|round| in_round(round).div_ceil(most)).sum()
    }

    /// Cuts the texts into the batches of an epoch, each with the label texts of its classes.
    pub(super) fn batches(&self, batch_size: usize, mut random: &mut dyn Rng) -> Vec<Vec<usize>> {
        let mut shuffled = self.classes.clone();
        shuffled.iter_mut().for_each(|texts| texts.shuffle(&mut random));
        let mut batches = match self.of_all_classes(batch_size) {
            Some(count) => dealt(&shuffled, count),
            None => in_groups(&shuffled, self.classes_of_batch(batch_size), random),
        };
        for (members, classes) in &mut batches {
            classes.sort_unstable();
            members.extend(classes.iter().filter_map(|&class| self.label_texts[class]));
        }
        let mut batches: Vec<Vec<usize>> =
            batches.into_iter().map(|(members, _)| members).collect();
        batches.shuffle(&mut random);
        batches
    }
}

/// A batch in the making: its texts, and the classes that it has.
type Open = (Vec<usize>, Vec<usize>);

/// Deals the texts of every class over so many batches. A class begins where the one before has
/// ended, so that batches are of equal size.
fn dealt(classes: &[Vec<usize>], count: usize) -> Vec<Open> {
    let mut batches = vec![(Vec::new(), (0..classes.len()).collect()); count];
    for (place, text) in classes.iter().flatten().enumerate() {
        batches[place % count].0.push(*text);
    }
    batches
}

/// Returns the number of groups of so many texts: a single one that is left over joins the group
/// before it.
fn groups(texts: usize) -> usize {
    (texts / GROUP).max(usize::from(texts > 0))
}

fn groups_more_than(texts: usize, round: usize) -> bool {
    groups(texts) > round
}

/// Puts groups of texts together, round by round, so that a batch has a class only once.
fn in_groups(classes: &[Vec<usize>], most: usize, mut random: &mut dyn Rng) -> Vec<Open> {
    let rounds = classes.iter().map(|texts| groups(texts.len())).max().unwrap_or(0);
    let mut batches = Vec::new();
    for round in 0..rounds {
        let mut here: Vec<usize> = (0..classes.len())
            .filter(|&class| groups_more_than(classes[class].len(), round))
            .collect();
        here.shuffle(&mut random);
        for members in here.chunks(most) {
            let texts = members.iter().flat_map(|&class| {
                let texts = &classes[class];
                let is_last = round + 1 == groups(texts.len());
                let end = if is_last { texts.len() } else { (round + 1) * GROUP };
                texts[round * GROUP..end].iter().copied()
            });
            batches.push((texts.collect(), members.to_vec()));
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::base::seed::stream;

    #[test]
    fn few_classes_are_all_in_each_batch() {
        // Six classes of 8, as in the recipe: two batches of 24 texts and 6 label texts.
        let labels: Vec<usize> = (0..48).map(|text| text / 8).collect();
        let by_class = ByClass::new(&labels, &(48..54).collect::<Vec<_>>());
        let batches = by_class.batches(32, &mut stream(1, &["test"], 0));
        assert_eq!((batches.len(), by_class.count(32)), (2, 2));
        for batch in &batches {
            assert_eq!(batch.len(), 30);
            for class in 0..6 {
                let own = |text: &&usize| **text < 48 && labels[**text] == class;
                assert_eq!(batch.iter().filter(own).count(), 4);
                assert!(batch.contains(&(48 + class)));
            }
        }
        let two = ByClass::new(&[0; 8].into_iter().chain([1; 8]).collect::<Vec<_>>(), &[16, 17]);
        assert_eq!(two.batches(32, &mut stream(1, &["test"], 0))[0].len(), 18);
    }

    proptest! {
        #[test]
        fn every_text_is_in_one_batch_and_none_is_alone(
            sizes in prop::collection::vec(0_usize..12, 2..40),
            size in 4_usize..40,
            with_label_texts: bool,
            seed: u64,
        ) {
            let labels: Vec<usize> =
                sizes.iter().enumerate().flat_map(|(class, &n)| vec![class; n]).collect();
            let texts = labels.len();
            let label_texts: Vec<usize> =
                if with_label_texts { (texts..texts + sizes.len()).collect() } else { Vec::new() };
            let by_class = ByClass::new(&labels, &label_texts);
            let batches = by_class.batches(size, &mut stream(seed, &[], 0));
            prop_assert_eq!(batches.len(), by_class.count(size));
            let all: Vec<usize> =
                batches.iter().flatten().copied().filter(|&text| text < texts).collect();
            prop_assert_eq!(all.len(), texts);
            prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), texts);
            for batch in &batches {
                let of = |text: usize| if text < texts { labels[text] } else { text - texts };
                let classes: BTreeSet<usize> = batch.iter().map(|&text| of(text)).collect();
                for class in classes {
                    let anchors = batch.iter().filter(|text| **text == texts + class).count();
                    prop_assert_eq!(anchors, usize::from(with_label_texts));
                }
            }
        }
    }
}
