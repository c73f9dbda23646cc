//! The confusion counts of a recipe, summed over its seeds.

/// Counts of true by predicted class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub name: String,
    pub labels: Vec<String>,
    /// Rows are true classes, columns predicted ones.
    pub counts: Vec<Vec<u64>>,
    pub seeds: usize,
}

/// The metrics of one class; `None` if the denominator is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Class {
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    /// The number of its texts, averaged over seeds.
    pub texts: f64,
}

impl Tally {
    /// Returns the metrics of a class.
    pub fn class(&self, class: usize) -> Class {
        let hits = self.counts[class][class];
        let is = self.support(class);
        let predicted: u64 = self.counts.iter().map(|row| row[class]).sum();
        let share = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        Class {
            precision: share(hits, predicted),
            recall: share(hits, is),
            f1: share(2 * hits, is + predicted),
            texts: is as f64 / self.seeds.max(1) as f64,
        }
    }

    /// Returns the number of texts of a class, over all seeds.
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    /// Returns the confused pairs of true and predicted class, the most frequent first.
    pub fn mistakes(&self) -> Vec<(usize, usize, u64)> {
        let mut pairs: Vec<(usize, usize, u64)> = Vec::new();
        for (label, row) in self.counts.iter().enumerate() {
            let wrong =
                row.iter().enumerate().filter(|(other, count)| *other != label && **count > 0);
            pairs.extend(wrong.map(|(other, count)| (label, other, *count)));
        }
        pairs.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_from_the_counts() {
        let tally = Tally {
            labels: vec!["a".into(), "b".into(), "c".into()],
            counts: vec![vec![3, 1, 0], vec![2, 2, 0], vec![0, 0, 0]],
            seeds: 2,
            ..Tally::default()
        };
        let first = tally.class(0);
        assert_eq!(
            (first.precision, first.recall, first.f1),
            (Some(0.6), Some(0.75), Some(6.0 / 9.0))
        );
        assert_eq!(first.texts, 2.0);
        assert_eq!(tally.class(2).f1, None);
        assert_eq!(tally.mistakes(), [(1, 0, 2), (0, 1, 1)]);
    }
}
