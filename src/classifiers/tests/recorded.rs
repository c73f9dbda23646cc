//! The classifiers compared with results of scikit-learn, SciPy and NumPy.

use ndarray::{Array2, Axis, arr2};
use serde::Deserialize;

use crate::classifiers::prototypes::Extra;
use crate::classifiers::*;

/// The record of tests/record_classifiers.py.
#[derive(Deserialize)]
struct Recorded {
    cases: Vec<Case>,
    temperatures: Vec<Tempered>,
    shares: Vec<Shares>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    x: Vec<Vec<f64>>,
    labels: Vec<usize>,
    classes: usize,
    logistic_regression: Vec<Regression>,
    lda: Option<Discriminant>,
    neighbours: Option<Near>,
    prototypes: Vec<Means>,
}

#[derive(Deserialize)]
struct Regression {
    c: f64,
    balanced: bool,
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

#[derive(Deserialize)]
struct Discriminant {
    ledoit_wolf: f64,
    fits: Vec<Shrunk>,
    chosen: f64,
    plain: Option<Vec<Vec<f64>>>,
}

#[derive(Deserialize)]
struct Shrunk {
    shrinkage: f64,
    prior: Option<Vec<f64>>,
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
    left_out: Vec<Vec<f64>>,
    nll: f64,
}

#[derive(Deserialize)]
struct Near {
    k: usize,
    order: Vec<Vec<usize>>,
    temperature: f64,
    nll: f64,
    asked: Asked,
}

/// Further points, and their probabilities.
#[derive(Deserialize)]
struct Asked {
    x: Vec<Vec<f64>>,
    probabilities: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Means {
    extra: Vec<Vec<f64>>,
    extra_labels: Vec<usize>,
    weight: f64,
    means: Vec<Vec<f64>>,
    asked: Vec<usize>,
    left_out: Vec<Vec<f64>>,
    temperature: f64,
}

#[derive(Deserialize)]
struct Tempered {
    logits: Vec<Vec<f64>>,
    labels: Vec<usize>,
    temperature: f64,
}

#[derive(Deserialize)]
struct Shares {
    logits: Vec<Vec<f64>>,
    trained: Vec<f64>,
    shares: Vec<f64>,
}

fn recorded() -> Recorded {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/classifiers.json"));
    serde_json::from_str(text).expect("the recorded figures")
}

fn matrix(rows: &[Vec<f64>], columns: usize) -> Array2<f64> {
    Array2::from_shape_vec((rows.len(), columns), rows.concat()).expect("a matrix")
}

impl Case {
    fn matrix(&self) -> Array2<f64> {
        matrix(&self.x, self.x[0].len())
    }
}

fn plain<'a>(x: &'a Array2<f64>, labels: &'a [usize], classes: usize) -> Points<'a> {
    Points { x: x.view(), labels, classes, weights: None }
}

/// Asserts that values agree to `tolerance` of the largest of them.
fn assert_close<'a>(
    found: impl IntoIterator<Item = &'a f64>,
    expected: impl IntoIterator<Item = &'a f64>,
    tolerance: f64,
    what: &str,
) {
    let found: Vec<f64> = found.into_iter().copied().collect();
    let expected: Vec<f64> = expected.into_iter().copied().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * size, "{what}, {at}: expected {expected}, found {found}");
    }
}

#[test]
fn logistic_regression_is_that_of_scikit_learn() {
    for case in recorded().cases {
        let x = case.matrix();
        for fit in &case.logistic_regression {
            let weights = fit.balanced.then(|| balanced(&case.labels, case.classes));
            let points = Points {
                x: x.view(),
                labels: &case.labels,
                classes: case.classes,
                weights: weights.as_deref(),
            };
            let linear = logistic_regression::fit(&points, fit.c).expect("a fit");
            let what = format!("{}, C {}", case.name, fit.c);
            let expected = matrix(&fit.weight, x.ncols());
            let (weight, bias) = match case.classes {
                2 => (
                    (&linear.weight.row(1) - &linear.weight.row(0)).insert_axis(Axis(0)),
                    vec![linear.bias[1] - linear.bias[0]],
                ),
                _ => (linear.weight.clone(), linear.bias.to_vec()),
            };
            let error = (&weight - &expected).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(error < 1e-6, "{what}: the coefficients differ by {error}");
            for (found, expected) in bias.iter().zip(&fit.bias) {
                assert!((found - expected).abs() < 1e-6, "{what}: {found} {expected}");
            }
            if case.classes == 2 {
                assert!((linear.bias[0] + linear.bias[1]).abs() < 1e-12, "{what}");
                assert_close(linear.weight.row(0), &-&linear.weight.row(1), 1e-9, &what);
            }
        }
    }
}

#[test]
fn lda_is_that_of_the_formula_and_its_leave_one_out_that_of_refits() {
    for case in recorded().cases {
        let Some(expected) = &case.lda else { continue };
        let x = case.matrix();
        let points = plain(&x, &case.labels, case.classes);
        let name = &case.name;
        let auto = Lda::fit(&points, Shrinkage::LedoitWolf, Prior::Counts).expect("a fit");
        assert_close(&[auto.shrinkage], &[expected.ledoit_wolf], 1e-8, name);
        for fit in &expected.fits {
            let prior = fit.prior.as_deref().map_or(Prior::Counts, Prior::Given);
            let given = Shrinkage::Given(fit.shrinkage);
            let linear = Lda::fit(&points, given, prior).expect("a fit").linear;
            let what = format!("{name}, shrinkage {}", fit.shrinkage);
            // Outside the span of the points no class differs from another, nor does the formula.
            assert_close(&linear.weight, &matrix(&fit.weight, x.ncols()), 1e-8, &what);
            assert_close(&linear.bias, &fit.bias, 1e-8, &what);
            let logits = lda::leave_one_out(&points, fit.shrinkage, prior).expect("logits");
            let logs = log_probabilities(logits.view());
            assert_close(&logs, &matrix(&fit.left_out, case.classes), 1e-8, &what);
            let found = score(logits.view(), &case.labels, None);
            assert_close(&[found.nll], &[fit.nll], 1e-8, &what);
        }
        let chosen = Lda::fit(&points, Shrinkage::LeaveOneOut, Prior::Counts).expect("a fit");
        assert_close(&[chosen.shrinkage], &[expected.chosen], 1e-8, name);
        let Some(sklearn) = &expected.plain else { continue };
        let fit = Lda::fit(&points, Shrinkage::Given(0.0), Prior::Counts).expect("a fit");
        // scikit-learn divides by N where we divide by N − K.
        let n = case.labels.len() as f64;
        let factor = n / (n - case.classes as f64);
        let mut logits = fit.linear.logits(x.view());
        for (mut column, count) in logits.columns_mut().into_iter().zip(points.counts()) {
            let log = (count as f64 / n).ln();
            column.mapv_inplace(|logit| (logit - log) * factor + log);
        }
        let found = log_probabilities(logits.view());
        assert_close(&found, &matrix(sklearn, case.classes), 1e-8, name);
    }
}

#[test]
fn prototypes_are_those_of_the_formula() {
    for case in recorded().cases {
        let x = case.matrix();
        let points = plain(&x, &case.labels, case.classes);
        for expected in &case.prototypes {
            let more = matrix(&expected.extra, x.ncols());
            let (labels, weight) = (&expected.extra_labels, expected.weight);
            let extra = (more.nrows() > 0).then(|| Extra { x: more.view(), labels, weight });
            let fit = Prototypes::fit(&points, extra).expect("a fit");
            let name = &case.name;
            assert_close(&fit.means, &matrix(&expected.means, x.ncols()), 1e-9, name);
            let (asked, logits) = prototypes::leave_one_out(&points, extra).expect("logits");
            assert_eq!(asked, expected.asked, "{name}");
            assert_close(&logits, &matrix(&expected.left_out, case.classes), 1e-9, name);
            assert_close(&[fit.temperature], &[expected.temperature], 1e-6, name);
            // The affine map and the distances differ by the same number for all classes.
            let distances = Array2::from_shape_fn((x.nrows(), case.classes), |(point, class)| {
                let offset = &x.row(point) - &fit.means.row(class);
                -offset.dot(&offset) / fit.temperature
            });
            let found = log_probabilities(fit.linear().logits(x.view()).view());
            assert_close(&found, &log_probabilities(distances.view()), 1e-9, name);
        }
    }
}

#[test]
fn neighbours_are_those_of_scikit_learn() {
    for case in recorded().cases {
        let Some(expected) = &case.neighbours else { continue };
        let x = case.matrix();
        let points = plain(&x, &case.labels, case.classes);
        assert_eq!(neighbours::default_k(&case.labels, case.classes), expected.k);
        let fit = Neighbours::fit(&points, expected.k).expect("a fit");
        assert_close(&[fit.temperature], &[expected.temperature], 1e-9, &case.name);
        for (point, order) in expected.order.iter().enumerate() {
            let more = Neighbours::fit(&points, expected.k + 1).expect("a fit");
            let found = more.nearest(x.row(point)).into_iter().map(|it| it.point);
            let found: Vec<usize> = found.filter(|&at| at != point).take(expected.k).collect();
            assert_eq!(&found, order, "{}", case.name);
        }
        let found = score(fit.left_out().view(), &case.labels, None);
        assert_close(&[found.nll], &[expected.nll], 1e-9, &case.name);
        let asked = matrix(&expected.asked.x, x.ncols());
        let shifted = fit.clone().shifted(&vec![0.5; case.classes]);
        for fit in [fit, shifted] {
            let found = log_probabilities(fit.logits(asked.view()).view()).mapv(f64::exp);
            let found: Vec<f64> = found.iter().copied().collect();
            assert_close(&found, &expected.asked.probabilities.concat(), 1e-8, &case.name);
        }
    }
}

#[test]
fn temperatures_are_those_of_scipy() {
    for (at, case) in recorded().temperatures.into_iter().enumerate() {
        let logits = matrix(&case.logits, case.logits[0].len());
        let found = temperature::fit(logits.view(), &case.labels);
        assert_close(&[found], &[case.temperature], 1e-6, &format!("{at}"));
    }
}

#[test]
fn temperatures_stay_within_their_bounds() {
    let fit = |logits: Array2<f64>, labels: &[usize]| temperature::fit(logits.view(), labels);
    assert_eq!(fit(arr2(&[[1.0, 0.0], [0.0, 1.0]]), &[0, 1]), 1e-3);
    assert_eq!(fit(arr2(&[[1.0, 0.0], [0.0, 1.0]]), &[1, 0]), 1e3);
    assert_eq!(fit(arr2(&[[2.0, 2.0], [0.0, 0.0]]), &[1, 0]), 1.0);
    assert_eq!(fit(Array2::zeros((0, 2)), &[]), 1.0);
    assert!(fit(arr2(&[[1e308, -1e308], [0.0, 1.0], [1.0, 0.0]]), &[0, 1, 1]).is_finite());
}

#[test]
fn shares_are_those_of_saerens() {
    for (at, case) in recorded().shares.into_iter().enumerate() {
        let logits = matrix(&case.logits, case.trained.len());
        let found = prior::estimate(logits.view(), &case.trained).expect("shares");
        assert_close(&found, &case.shares, 1e-9, &format!("{at}"));
    }
}

#[test]
fn another_prior_multiplies_probabilities() {
    let (from, to) = ([0.5, 0.3, 0.2], [0.1, 0.1, 0.8]);
    let x = arr2(&[[0.3, -1.0, 0.4]]);
    let linear = Linear { weight: Array2::eye(3), bias: ndarray::arr1(&[0.1, 0.2, 0.3]) };
    let before = log_probabilities(linear.logits(x.view()).view()).mapv_into(f64::exp);
    let shift = prior::shift(&from, &to).expect("a shift");
    let after = log_probabilities(linear.shifted(&shift).logits(x.view()).view());
    let joint: Vec<f64> = (0..3).map(|at| before[(0, at)] * to[at] / from[at]).collect();
    let sum: f64 = joint.iter().sum();
    let expected: Vec<f64> = joint.iter().map(|part| (part / sum).ln()).collect();
    assert_close(&after, &expected, 1e-12, "a prior");
    assert!(
        prior::shift(&from, &[1.0, 0.0, 0.0]).expect("a shift").iter().all(|it| it.is_finite())
    );
    for (bad, says) in [
        ([0.5, 0.6, -0.1], "the share of class 2"),
        ([0.5, 0.5, 0.1], "have the sum 1.1"),
        ([0.5, f64::NAN, 0.5], "the share of class 1"),
    ] {
        let found = prior::shift(&from, &bad).expect_err("a bad prior").to_string();
        assert!(found.contains(says), "{found}");
    }
    assert!(prior::shift(&[0.5, 0.5, 0.0], &to).is_err());
    assert!(prior::estimate(x.view(), &[0.5, 0.5]).is_err());
}
