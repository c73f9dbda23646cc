//! All metrics of an evaluation, by name.

use indexmap::IndexMap;

use super::counts::Counts;
use super::registry::{CLASS_METRICS, METRICS};
use super::row::Row;

/// Returns every metric of the rows by name, per-class ones as `precision/<label>`,
/// `recall/<label>` and `f1/<label>`. An undefined metric is absent; without rows all are absent.
pub fn all(labels: &[String], rows: &[Row<'_>]) -> IndexMap<String, f64> {
    let mut metrics = IndexMap::new();
    if rows.is_empty() {
        return metrics;
    }
    for metric in METRICS {
        if let Some(value) = metric.value(labels.len(), rows) {
            metrics.insert(metric.name.to_owned(), value);
        }
    }
    let counts = Counts::of(labels.len(), rows);
    for (class, label) in labels.iter().enumerate() {
        for metric in CLASS_METRICS {
            metrics.insert(format!("{}/{label}", metric.name), (metric.of)(&counts, class));
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::calibration::MCE;
    use crate::metrics::confusion::Confusion;
    use crate::metrics::registry::{find, find_of_class};
    use proptest::prelude::*;
    use serde::Deserialize;

    /// A record of tests/sklearn_metrics.py: predictions and scikit-learn's metrics of them.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        labels: Vec<String>,
        truth: Vec<usize>,
        probabilities: Vec<Vec<f32>>,
        metrics: IndexMap<String, f64>,
        confusion: Vec<Vec<u64>>,
    }

    fn rows<'a>(truth: &[usize], probabilities: &'a [Vec<f32>]) -> Vec<Row<'a>> {
        let first_largest =
            |p: &[f32]| (0..p.len()).rev().max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap_or(0);
        truth
            .iter()
            .zip(probabilities)
            .map(|(&label, p)| Row { label, prediction: first_largest(p), probabilities: p })
            .collect()
    }

    #[test]
    fn agree_with_scikit_learn() -> Result<(), Box<dyn std::error::Error>> {
        let recorded =
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sklearn_metrics.json"));
        let cases: Vec<Case> = serde_json::from_str(recorded)?;
        assert!(cases.len() >= 5);
        for case in cases {
            let rows = rows(&case.truth, &case.probabilities);
            let ours = all(&case.labels, &rows);
            let names = |metrics: &IndexMap<String, f64>| {
                let mut names: Vec<String> = metrics.keys().cloned().collect();
                names.sort();
                names
            };
            assert_eq!(names(&ours), names(&case.metrics), "{}", case.name);
            let is_known = |name: &String| find(name).is_some() || find_of_class(name).is_some();
            assert!(ours.keys().all(is_known), "{}", case.name);
            for (name, theirs) in &case.metrics {
                let difference = (ours[name] - theirs).abs();
                // Scikit-learn sums some of them in single precision.
                assert!(difference < 1e-6, "{} {name}: {} and {theirs}", case.name, ours[name]);
            }
            assert_eq!(
                Confusion::of(case.labels.len(), &rows).matrix(),
                case.confusion,
                "{}",
                case.name
            );
        }
        Ok(())
    }

    #[test]
    fn one_row_and_no_row() {
        let labels = ["a".to_owned(), "b".to_owned()];
        assert!(all(&labels, &[]).is_empty());
        let metrics = all(&labels, &rows(&[0], &[vec![1.0, 0.0]]));
        assert_eq!(metrics["accuracy"], 1.0);
        assert_eq!(metrics["mcc"], 0.0);
        assert_eq!(metrics["f1/b"], 0.0);
        assert!(!metrics.contains_key("kappa") && !metrics.contains_key("roc_auc"));
    }

    #[test]
    fn a_certain_mistake_has_a_finite_loss() {
        let metrics = all(&["a".to_owned(), "b".to_owned()], &rows(&[1], &[vec![1.0, 0.0]]));
        assert!((metrics["nll"] - 15.942385).abs() < 1e-5, "{}", metrics["nll"]);
        assert_eq!(metrics["brier"], 2.0);
        assert_eq!(metrics["ece"], 1.0);
    }

    #[test]
    fn bins_are_a_fifteenth_wide_and_the_last_holds_one() {
        let row = |label, p: &'static [f32]| Row { label, prediction: 0, probabilities: p };
        let mce = |rows: &[Row<'_>]| MCE.value(2, rows).unwrap_or(f64::NAN);
        // One fifth is the edge of a bin: the second row is alone above it, with the larger gap.
        assert!(
            (mce(&[row(0, &[0.199]), row(1, &[0.201])]) - (1.0 - f64::from(0.199_f32))).abs()
                < 1e-12
        );
        // Both are between one fifth and four fifteenths, with an accuracy of one half.
        assert!((mce(&[row(0, &[0.25]), row(1, &[0.25])]) - 0.25).abs() < 1e-12);
        assert_eq!(mce(&[row(0, &[1.0])]), 0.0);
    }

    fn predictions() -> impl Strategy<Value = (Vec<usize>, Vec<Vec<f32>>)> {
        (2..5_usize).prop_flat_map(|classes| {
            let row = (0..classes, prop::collection::vec(0.01..1.0_f32, classes));
            prop::collection::vec(row, 1..40).prop_map(|rows| {
                rows.into_iter()
                    .map(|(label, p)| {
                        let sum: f32 = p.iter().sum();
                        (label, p.iter().map(|value| value / sum).collect())
                    })
                    .unzip()
            })
        })
    }

    proptest! {
        #[test]
        fn lie_in_their_ranges_and_do_not_depend_on_the_order(
            (truth, probabilities) in predictions(),
        ) {
            let labels: Vec<String> =
                (0..probabilities[0].len()).map(|class| class.to_string()).collect();
            let mut rows = rows(&truth, &probabilities);
            let metrics = all(&labels, &rows);
            for (name, &value) in &metrics {
                let (low, high) = find(name).map_or((0.0, 1.0), |metric| metric.range);
                prop_assert!((low - 1e-12..=high + 1e-12).contains(&value), "{} {}", name, value);
            }
            prop_assert!((metrics["micro_f1"] - metrics["accuracy"]).abs() < 1e-12);
            prop_assert!(metrics["mce"] + 1e-12 >= metrics["ece"]);
            rows.reverse();
            for (name, value) in all(&labels, &rows) {
                prop_assert!((value - metrics[&name]).abs() < 1e-12, "{}", name);
            }
        }
    }
}
