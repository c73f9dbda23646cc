//! A metric as a function of how often each row counts, for resampling.

use super::binned::Binned;
use super::counts::Counts;
use super::metric::{Metric, Of, Weight};
use super::ranking::Ranking;
use super::registry::{find, find_of_class};
use super::row::Row;

/// A metric of given rows, prepared for computation with many different weights.
pub struct Weighted {
    rows: usize,
    form: Form,
}

/// A metric of the counts of decisions.
type OfCounts = Box<dyn Fn(&Counts) -> Option<f64>>;

enum Form {
    Counts { classes: usize, decisions: Vec<(usize, usize)>, metric: OfCounts },
    Mean(Vec<f64>),
    Ranking(Ranking, fn(&Ranking, Weight<'_>) -> Option<f64>),
    Bins(Binned, fn(&Binned, Weight<'_>) -> f64),
}

impl Weighted {
    /// Prepares a metric by its name in [`super::all()`]; `None` for an unknown name.
    pub fn of(name: &str, labels: &[String], rows: &[Row<'_>]) -> Option<Weighted> {
        if let Some(metric) = find(name) {
            return Some(Weighted::metric(metric, labels.len(), rows));
        }
        let (metric, label) = find_of_class(name)?;
        let class = labels.iter().position(|known| known == label)?;
        let of = Box::new(move |counts: &Counts| Some((metric.of)(counts, class)));
        Some(Weighted { rows: rows.len(), form: Form::counts(labels.len(), rows, of) })
    }

    /// Prepares a metric for rows of `classes` declared classes.
    pub fn metric(metric: &'static Metric, classes: usize, rows: &[Row<'_>]) -> Weighted {
        let form = match metric.of {
            Of::Counts(of) => Form::counts(classes, rows, Box::new(of)),
            Of::Mean(of) => Form::Mean(rows.iter().map(of).collect()),
            Of::Ranking(of) => Form::Ranking(Ranking::of(classes, rows), of),
            Of::Bins(of) => Form::Bins(Binned::of(rows), of),
        };
        Weighted { rows: rows.len(), form }
    }

    /// Returns the metric with each row counted as often as its weight; `None` if it is undefined.
    pub fn value(&self, weights: &[u32]) -> Option<f64> {
        self.weighted(&|row| u64::from(weights[row]))
    }

    fn weighted(&self, weight: Weight<'_>) -> Option<f64> {
        match &self.form {
            Form::Counts { classes, decisions, metric } => {
                let mut counts = Counts::none(*classes);
                for (row, &(label, prediction)) in decisions.iter().enumerate() {
                    counts.add(label, prediction, weight(row));
                }
                if counts.total() == 0 { None } else { metric(&counts) }
            }
            Form::Mean(values) => {
                let total: u64 = (0..self.rows).map(weight).sum();
                let sum: f64 =
                    values.iter().enumerate().map(|(row, value)| value * weight(row) as f64).sum();
                (total > 0).then(|| sum / total as f64)
            }
            Form::Ranking(ranking, metric) => metric(ranking, weight),
            Form::Bins(binned, metric) => Some(metric(binned, weight)),
        }
    }
}

impl Metric {
    /// Computes the metric of rows of `classes` declared classes; `None` if it is undefined.
    pub fn value(&'static self, classes: usize, rows: &[Row<'_>]) -> Option<f64> {
        Weighted::metric(self, classes, rows).weighted(&|_| 1)
    }
}

impl Form {
    fn counts(classes: usize, rows: &[Row<'_>], metric: OfCounts) -> Form {
        let decisions = rows.iter().map(|row| (row.label, row.prediction)).collect();
        Form::Counts { classes, decisions, metric }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::all;

    /// Every metric with weights equals the same metric of rows that are repeated as often as their
    /// weights.
    #[test]
    fn a_weight_is_a_number_of_equal_rows() {
        let labels = ["a", "b", "c/d"].map(str::to_owned);
        let probabilities: Vec<Vec<f32>> = (0..12usize)
            .map(|row| {
                let raw = [
                    1.0 + (row * 7 % 5) as f32,
                    1.0 + (row * 3 % 4) as f32,
                    1.0 + (row % 6) as f32,
                ];
                raw.iter().map(|p| p / raw.iter().sum::<f32>()).collect()
            })
            .collect();
        let rows: Vec<Row<'_>> = probabilities
            .iter()
            .enumerate()
            .map(|(row, p)| Row {
                label: row % 3,
                prediction: crate::metrics::row::argmax(p),
                probabilities: p,
            })
            .collect();
        for weights in [vec![1; 12], (0..12).map(|row| row * 5 % 4).collect()] {
            let repeated: Vec<Row<'_>> = rows
                .iter()
                .zip(&weights)
                .flat_map(|(row, &weight)| std::iter::repeat_n(*row, weight as usize))
                .collect();
            let expected = all(&labels, &repeated);
            assert!(expected.len() >= 21, "{expected:?}");
            for (name, value) in expected {
                let ours =
                    Weighted::of(&name, &labels, &rows).and_then(|metric| metric.value(&weights));
                assert!(
                    ours.is_some_and(|ours| (ours - value).abs() < 1e-9),
                    "{name}: {ours:?} and {value}"
                );
            }
        }
        assert!(Weighted::of("speed", &labels, &rows).is_none());
        assert!(Weighted::of("f1/z", &labels, &rows).is_none());
        let nothing =
            Weighted::of("accuracy", &labels, &rows).and_then(|metric| metric.value(&[0; 12]));
        assert_eq!(nothing, None);
    }
}
