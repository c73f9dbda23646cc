//! A metric as a function of how often each row counts, for resampling.

use super::calibration::Binned;
use super::counts::Counts;
use super::roc_auc::Ranking;
use super::row::Row;
use super::{accuracy, brier, f1, kappa, mcc, nll};

/// A metric of hard decisions.
type OfCounts = Box<dyn Fn(&Counts) -> Option<f64>>;

/// A metric of given rows, prepared for computation with many different weights.
pub struct Weighted(Form);

enum Form {
    Counts { classes: usize, decisions: Vec<(usize, usize)>, metric: OfCounts },
    Mean(Vec<f64>),
    Ranking(Ranking),
    Expected(Binned),
    Largest(Binned),
}

/// Returns whether a metric uses probabilities. All others use decisions only, so that rows with
/// the same label and prediction are interchangeable.
pub fn reads_probabilities(metric: &str) -> bool {
    ["roc_auc", "nll", "brier", "ece", "mce"].contains(&metric)
}

impl Weighted {
    /// Prepares a metric by its name in [`super::all()`]; `None` for an unknown name.
    pub fn of(metric: &str, labels: &[String], rows: &[Row<'_>]) -> Option<Weighted> {
        Some(Weighted(match metric {
            "roc_auc" => Form::Ranking(Ranking::of(labels.len(), rows)),
            "nll" => Form::Mean(rows.iter().map(nll::loss).collect()),
            "brier" => Form::Mean(rows.iter().map(brier::score).collect()),
            "ece" => Form::Expected(Binned::of(rows)),
            "mce" => Form::Largest(Binned::of(rows)),
            _ => Form::Counts {
                classes: labels.len(),
                decisions: rows.iter().map(|row| (row.label, row.prediction)).collect(),
                metric: of_counts(metric, labels)?,
            },
        }))
    }

    /// Returns the metric with each row counted as often as its weight; `None` if it is undefined.
    pub fn value(&self, weights: &[u32]) -> Option<f64> {
        let weight = |row: usize| u64::from(weights[row]);
        match &self.0 {
            Form::Counts { classes, decisions, metric } => {
                let mut counts = Counts::none(*classes);
                for (row, &(label, prediction)) in decisions.iter().enumerate() {
                    counts.add(label, prediction, weight(row));
                }
                if counts.total() == 0 { None } else { metric(&counts) }
            }
            Form::Mean(values) => {
                let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
                let sum: f64 = values
                    .iter()
                    .zip(weights)
                    .map(|(value, &weight)| value * f64::from(weight))
                    .sum();
                (total > 0).then(|| sum / total as f64)
            }
            Form::Ranking(ranking) => ranking.area(weight),
            Form::Expected(binned) => Some(binned.errors(weight).0),
            Form::Largest(binned) => Some(binned.errors(weight).1),
        }
    }
}

fn of_counts(metric: &str, labels: &[String]) -> Option<OfCounts> {
    let always = |of: fn(&Counts) -> f64| -> OfCounts { Box::new(move |counts| Some(of(counts))) };
    let class = |of: fn(&Counts, usize) -> f64, label: &str| -> Option<OfCounts> {
        let class = labels.iter().position(|known| known == label)?;
        Some(Box::new(move |counts| Some(of(counts, class))))
    };
    match metric {
        "accuracy" => Some(always(accuracy::accuracy)),
        "balanced_accuracy" => Some(always(accuracy::balanced_accuracy)),
        "macro_f1" => Some(always(f1::macro_f1)),
        "micro_f1" => Some(always(f1::micro_f1)),
        "weighted_f1" => Some(always(f1::weighted_f1)),
        "mcc" => Some(always(mcc::mcc)),
        "kappa" => Some(Box::new(kappa::kappa)),
        _ => match metric.split_once('/')? {
            ("precision", label) => class(f1::precision, label),
            ("recall", label) => class(f1::recall, label),
            ("f1", label) => class(f1::f1, label),
            _ => None,
        },
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
