//! Which texts a round of self-training takes.

use ndarray::ArrayView2;

use crate::classifiers::log_probabilities;
use crate::data::{DataSet, Example, Origin};

/// The name of the method.
pub(super) const NAME: &str = "self_training";

/// A text without a label: its place among them, and the class that it is taken for.
pub(super) type Taken = (usize, usize);

/// Returns the texts of each class that a model is the surest of, from its logits `[N, K]`, in
/// their order. A class has those that it is the likeliest of, and all classes have equally many:
/// at most `most`, and no more than the class that fewest texts are taken for.
pub(super) fn choose(logits: ArrayView2<'_, f64>, most: usize) -> Vec<Taken> {
    let of_class = of_classes(logits);
    let fewest = of_class.iter().map(Vec::len).min().unwrap_or(0);
    let mut taken = Vec::new();
    for (class, mut found) in of_class.into_iter().enumerate() {
        found.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        taken.extend(found.into_iter().take(fewest.min(most)).map(|(_, place)| (place, class)));
    }
    taken.sort_unstable();
    taken
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

/// Returns examples with texts that are taken for one of a class behind them.
pub(super) fn with_taken(data: &DataSet, examples: &[Example], taken: &[Taken]) -> Vec<Example> {
    let made = taken.iter().map(|&(place, class)| {
        let found = &data.unlabelled[place];
        Example {
            origin: Origin::Generated { parents: Vec::new(), method: NAME.into() },
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
        assert_eq!(choose(logits.view(), 1), [(1, 0), (3, 1)]);
        // Two texts are taken for the second class, so that the first has no more.
        assert_eq!(choose(logits.view(), 9), [(0, 0), (1, 0), (2, 1), (3, 1)]);
        assert_eq!(choose(logits.view(), 0), []);
        // A class that no text is taken for keeps the others from growing.
        assert_eq!(choose(array![[1.0, 0.0], [2.0, 0.0]].view(), 5), []);
        assert_eq!(idle(array![[1.0, 0.0], [2.0, 0.0]].view()), Some(1));
        // What is large and equal for all is no sign of certainty; of equals the first is taken.
        let logits = array![[9.0, 8.9], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(choose(logits.view(), 1), [(1, 0), (3, 1)]);
    }

    proptest! {
        #[test]
        fn no_class_has_more_than_another(
            values in prop::collection::vec(-5.0..5.0_f64, 3..120), most in 0..9_usize,
        ) {
            let rows = values.len() / 3;
            let logits = Array2::from_shape_fn((rows, 3), |(row, class)| values[3 * row + class]);
            let taken = choose(logits.view(), most);
            let count = |class: usize| taken.iter().filter(|it| it.1 == class).count();
            prop_assert!(count(0) <= most && count(0) == count(1) && count(1) == count(2));
            let places: std::collections::BTreeSet<usize> =
                taken.iter().map(|it| it.0).collect();
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
        let all = with_taken(&data, &data.splits.train, &[(1, 1)]);
        assert_eq!(all[0], data.splits.train[0]);
        assert_eq!((all.len(), all[1].id.as_str(), all[1].class()), (2, "y", 1));
        assert!(!all[1].is_original() && all[1].parents().is_empty());
    }
}
