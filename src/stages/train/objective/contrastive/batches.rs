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
        let sizes: Vec<usize> = self.classes.iter().map(Vec::len).collect();
        let most = self.classes_of_batch(batch_size);
        (0..rounds(&sizes)).map(|round| parts(of_round(&sizes, round, most), most)).sum()
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
/// ended, so that batches are of equal size. A class with fewer texts than there are batches gives
/// them again: without it, a batch would draw texts together that nothing holds apart.
fn dealt(classes: &[Vec<usize>], count: usize) -> Vec<Open> {
    let mut batches = vec![(Vec::new(), (0..classes.len()).collect()); count];
    let mut place = 0;
    for texts in classes {
        for text in texts.iter().cycle().take(texts.len().max(count)) {
            batches[place % count].0.push(*text);
            place += 1;
        }
    }
    batches
}

/// Returns the number of groups of so many texts: a single one that is left over joins the group
/// before it.
fn groups(texts: usize) -> usize {
    (texts / GROUP).max(usize::from(texts > 0))
}

/// Returns the number of rounds in which every group of every class has its turn.
fn rounds(sizes: &[usize]) -> usize {
    sizes.iter().map(|&texts| groups(texts)).max().unwrap_or(0)
}

/// Returns how many classes have a turn in a round: those that have a group left, and as many
/// others as fill a batch.
fn of_round(sizes: &[usize], round: usize, most: usize) -> usize {
    let left = sizes.iter().filter(|&&texts| groups(texts) > round).count();
    left.max(most.min(sizes.len()))
}

/// Returns the number of batches for the groups of so many classes, each with two at least.
fn parts(classes: usize, most: usize) -> usize {
    classes.div_ceil(most).min(classes / 2).max(1)
}

/// Puts groups of texts together, round by round, so that a batch has a class only once.
fn in_groups(classes: &[Vec<usize>], most: usize, mut random: &mut dyn Rng) -> Vec<Open> {
    let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
    let mut batches = Vec::new();
    for round in 0..rounds(&sizes) {
        let (mut here, mut others): (Vec<usize>, Vec<usize>) =
            (0..classes.len()).partition(|&class| groups(sizes[class]) > round);
        here.shuffle(&mut random);
        others.shuffle(&mut random);
        // What is left of large classes meets texts that had their turn before.
        let wanted = of_round(&sizes, round, most);
        here.extend(others.into_iter().take(wanted - here.len()));
        let count = parts(here.len(), most);
        for part in 0..count {
            let members = &here[part * here.len() / count..(part + 1) * here.len() / count];
            let texts = members.iter().flat_map(|&class| {
                let turn = round % groups(sizes[class]);
                let is_last = turn + 1 == groups(sizes[class]);
                let end = if is_last { sizes[class] } else { (turn + 1) * GROUP };
                classes[class][turn * GROUP..end].iter().copied()
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
    fn no_batch_is_of_one_class() {
        // One class more than a batch has room for, a large class among small ones.
        let even: Vec<usize> = (0..88).map(|text| text / 8).collect();
        let uneven: Vec<usize> = [vec![0; 500], vec![1; 8], vec![2; 8]].concat();
        for labels in [even, uneven] {
            let classes = labels.iter().max().map_or(0, |most| most + 1);
            for label_texts in [Vec::new(), (labels.len()..labels.len() + classes).collect()] {
                let by_class = ByClass::new(&labels, &label_texts);
                for batch in by_class.batches(32, &mut stream(1, &["test"], 0)) {
                    let texts = batch.iter().filter(|text| **text < labels.len());
                    let found: BTreeSet<usize> = texts.map(|&text| labels[text]).collect();
                    assert!(found.len() > 1, "{batch:?}");
                }
            }
        }
    }

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
        fn every_text_has_its_turn_and_every_batch_two_classes(
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
            prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), texts);
            let present = sizes.iter().filter(|size| **size > 0).count();
            for batch in &batches {
                let of = |text: usize| if text < texts { labels[text] } else { text - texts };
                let classes: BTreeSet<usize> = batch.iter().map(|&text| of(text)).collect();
                prop_assert!(classes.len() >= present.min(2), "{:?}", batch);
                for class in classes {
                    let anchors = batch.iter().filter(|text| **text == texts + class).count();
                    prop_assert_eq!(anchors, usize::from(with_label_texts));
                }
            }
        }
    }
}
