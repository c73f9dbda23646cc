//! Which texts a round of self-training takes.

use ndarray::ArrayView2;
use rand::{Rng, RngExt as _};

use crate::classifiers::log_probabilities;
use crate::data::{DataSet, Example, Origin};
use crate::stages::train::certainty::Certainty;

/// The name of the method.
pub(super) const NAME: &str = "self_training";

/// A text without a label that is learnt from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Taken {
    /// Its place among them.
    pub place: usize,
    /// The class that it is taken for.
    pub class: usize,
    /// How much it counts; a text with a true label counts 1.
    pub weight: f64,
}

/// Returns the texts of each class that a model is the surest of, from its logits `[N, K]`, in
/// their order. A class has those that it is the likeliest of, and all classes have equally many:
/// at most `most`, and no more than the class that fewest texts are taken for.
pub(super) fn choose(logits: ArrayView2<'_, f64>, most: usize) -> Vec<Taken> {
    take(logits, most, |likely, _| -likely)
}

/// Returns texts of each class, equally many as [`choose`] does, that are drawn without
/// replacement: those that passes under dropout agree on are likelier, as 1 − BALD. Each counts by
/// its variance, and all together as many as they are.
pub(super) fn draw(
    logits: ArrayView2<'_, f64>,
    certainty: &Certainty,
    most: usize,
    random: &mut impl Rng,
) -> Vec<Taken> {
    // The least of exponential times of these rates is the first of a draw by them, the next the
    // second of one without the first, and so on (Efraimidis and Spirakis 2006).
    let easiness = certainty.easiness();
    let times = easiness.iter().map(|rate| -(1.0 - random.random::<f64>()).ln() / rate);
    let times: Vec<f64> = times.collect();
    let mut taken = take(logits, most, |_, place| times[place]);
    let places: Vec<usize> = taken.iter().map(|it| it.place).collect();
    let weights = certainty.weights(&places);
    taken.iter_mut().zip(weights).for_each(|(it, weight)| it.weight = weight);
    taken
}

/// Returns the texts of each class with the least ranks, from how likely they are of it and their
/// places; of equal ones the first.
fn take(logits: ArrayView2<'_, f64>, most: usize, rank: impl Fn(f64, usize) -> f64) -> Vec<Taken> {
    let of_class = of_classes(logits);
    let fewest = of_class.iter().map(Vec::len).min().unwrap_or(0);
    let mut taken = Vec::new();
    for (class, found) in of_class.into_iter().enumerate() {
        let ranked = found.into_iter().map(|(likely, place)| (rank(likely, place), place));
        let mut ranked: Vec<(f64, usize)> = ranked.collect();
        ranked.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let first = ranked.into_iter().take(fewest.min(most));
        taken.extend(first.map(|(_, place)| Taken { place, class, weight: 1.0 }));
    }
    taken.sort_unstable_by_key(|it| it.place);
    taken
}

/// Returns how much each text of a round counts: `examples` with true labels, then those that are
/// taken. `None` if all count 1.
pub(super) fn weights(examples: usize, taken: &[Taken]) -> Option<Vec<f64>> {
    let is_weighted = taken.iter().any(|it| it.weight != 1.0);
    let all = std::iter::repeat_n(1.0, examples).chain(taken.iter().map(|it| it.weight));
    is_weighted.then(|| all.collect())
}

/// Returns the first class that no text is taken for.
pub(super) fn idle(logits: ArrayView2<'_, f64>) -> Option<usize> {
    of_classes(logits).iter().position(Vec::is_empty)
}

/// Returns for each class the texts that it is the likeliest of: how likely, and their places.
fn of_classes(logits: ArrayView2<'_, f64>) -> Vec<Vec<(f64, usize)>> {
    let logs = log_probabilities(logits);
    let mut of_class = vec![Vec::new(); logs.ncols()];
    for (place, row) in logs.rows().into_iter().enumerate() {
        // Of equals the first, as everywhere.
        let likeliest = row.iter().enumerate().fold(None, |best: Option<(usize, f64)>, it| {
            best.filter(|(_, value)| value >= it.1).or(Some((it.0, *it.1)))
        });
        if let Some((class, value)) = likeliest {
            of_class[class].push((value, place));
        }
    }
    of_class
}

/// Returns examples with texts that a method has taken for one of a class behind them.
pub(super) fn with_taken(
    data: &DataSet,
    examples: &[Example],
    taken: &[Taken],
    method: &str,
) -> Vec<Example> {
    let made = taken.iter().map(|&Taken { place, class, .. }| {
        let found = &data.unlabelled[place];
        Example {
            origin: Origin::Generated { parents: Vec::new(), method: method.into() },
            ..Example::original(found.id.clone(), found.text.clone(), class)
        }
    });
    examples.iter().cloned().chain(made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Splits;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn the_surest_of_each_class_are_taken_equally() {
        let logits = array![[2.0, 0.0], [5.0, 0.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 0.0]];
        assert_eq!(places(choose(logits.view(), 1)), [(1, 0), (3, 1)]);
        // Two texts are taken for the second class, so that the first has no more.
        assert_eq!(places(choose(logits.view(), 9)), [(0, 0), (1, 0), (2, 1), (3, 1)]);
        assert_eq!(places(choose(logits.view(), 0)), []);
        // A class that no text is taken for keeps the others from growing.
        assert_eq!(places(choose(array![[1.0, 0.0], [2.0, 0.0]].view(), 5)), []);
        assert_eq!(idle(array![[1.0, 0.0], [2.0, 0.0]].view()), Some(1));
        // What is large and equal for all is no sign of certainty; of equals the first is taken.
        let logits = array![[9.0, 8.9], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(places(choose(logits.view(), 1)), [(1, 0), (3, 1)]);
    }

    fn places(taken: Vec<Taken>) -> Vec<(usize, usize)> {
        taken.into_iter().map(|it| (it.place, it.class)).collect()
    }

    #[derive(serde::Deserialize)]
    struct Recorded {
        draws: Vec<Drawn>,
    }

    #[derive(serde::Deserialize)]
    struct Drawn {
        bald: Vec<f32>,
        count: usize,
        /// How likely each is among those that are drawn.
        included: Vec<f64>,
    }

    /// NumPy has gone through all orders of a draw without replacement
    /// (tests/record_unlabelled.py).
    #[test]
    fn easy_texts_are_drawn_as_often_as_they_should() -> Result<(), serde_json::Error> {
        let file = include_str!("../../../../tests/data/unlabelled.json");
        let recorded: Recorded = serde_json::from_str(file)?;
        for Drawn { bald, count, included } in recorded.draws {
            let texts = bald.len();
            // The second class has as many texts, of which any may be drawn.
            let both = [bald.clone(), vec![0.5; texts]].concat();
            let certainty = Certainty { variance: vec![0.01; both.len()], bald: both };
            let logits = Array2::from_shape_fn((2 * texts, 2), |(row, class)| {
                f64::from(u8::from((row < texts) == (class == 0)))
            });
            let mut found = vec![0.0; texts];
            let draws = 20_000;
            let mut random = crate::base::seed::stream(3, &["test"], 0);
            for _ in 0..draws {
                let taken = draw(logits.view(), &certainty, count, &mut random);
                assert_eq!(taken.len(), 2 * count);
                for it in taken.iter().filter(|it| it.class == 0) {
                    found[it.place] += 1.0 / f64::from(draws);
                }
            }
            for (found, expected) in found.iter().zip(&included) {
                assert!((found - expected).abs() < 0.015, "{found} {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn what_varies_counts_less() {
        let logits = array![[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        let certainty = Certainty { bald: vec![0.1; 4], variance: vec![0.2, 0.001, 0.05, 0.05] };
        let mut random = crate::base::seed::stream(3, &["test"], 0);
        let taken = draw(logits.view(), &certainty, 2, &mut random);
        let found = weights(1, &taken).unwrap_or_default();
        assert_eq!((found.len(), found[0]), (5, 1.0));
        assert!(found[1] < found[3] && found[3] < found[2], "{found:?}");
        assert!((found[1..].iter().sum::<f64>() - 4.0).abs() < 1e-12);
        assert_eq!(weights(3, &choose(logits.view(), 2)), None);
    }

    proptest! {
        #[test]
        fn no_class_has_more_than_another(
            values in prop::collection::vec(-5.0..5.0_f64, 3..120), most in 0..9_usize,
        ) {
            let rows = values.len() / 3;
            let logits = Array2::from_shape_fn((rows, 3), |(row, class)| values[3 * row + class]);
            let taken = choose(logits.view(), most);
            let count = |class: usize| taken.iter().filter(|it| it.class == class).count();
            prop_assert!(count(0) <= most && count(0) == count(1) && count(1) == count(2));
            let places: std::collections::BTreeSet<usize> =
                taken.iter().map(|it| it.place).collect();
            prop_assert_eq!(places.len(), taken.len());
            prop_assert_eq!(&taken, &choose(logits.view(), most));
            let fewer = choose(logits.view(), most / 2);
            prop_assert!(fewer.iter().all(|it| taken.contains(it)));
        }
    }

    #[test]
    fn what_is_taken_stands_behind_the_true_labels() {
        use crate::data::{Task, Unlabelled};

        let unlabelled = |id: &str| Unlabelled { id: id.into(), text: id.into() };
        let data = DataSet {
            task: Task::Classes { labels: vec!["a".into(), "b".into()] },
            splits: Splits { train: vec![Example::original("t", "t", 0)], ..Splits::default() },
            unlabelled: vec![unlabelled("x"), unlabelled("y")],
            ..DataSet::default()
        };
        let taken = [Taken { place: 1, class: 1, weight: 1.0 }];
        let all = with_taken(&data, &data.splits.train, &taken, NAME);
        assert_eq!(all[0], data.splits.train[0]);
        assert_eq!((all.len(), all[1].id.as_str(), all[1].class()), (2, "y", 1));
        assert!(!all[1].is_original() && all[1].parents().is_empty());
    }
}
