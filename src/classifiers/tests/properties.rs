//! What holds for any points.

use ndarray::{Array2, Axis, arr2};
use rand::RngExt;

use crate::base::seed;
use crate::classifiers::choose::GRID;
use crate::classifiers::logistic_regression::{OPTIMUM, path};
use crate::classifiers::*;

/// Unit vectors around a mean for each class, as embeddings are.
fn embeddings(n: usize, size: usize, classes: usize) -> (Array2<f64>, Vec<usize>) {
    let mut random = seed::stream(3, &["classifiers"], (n * size) as u64);
    let mut normal = move || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    let means = Array2::from_shape_fn((classes + 1, size), |_| normal());
    let labels: Vec<usize> = (0..n).map(|point| point % classes).collect();
    let mut x = Array2::from_shape_fn((n, size), |(point, at)| {
        means[(labels[point], at)] + means[(classes, at)] + 1.5 * normal()
    });
    for mut row in x.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    (x, labels)
}

fn plain<'a>(x: &'a Array2<f64>, labels: &'a [usize], classes: usize) -> Points<'a> {
    Points { x: x.view(), labels, classes, weights: None }
}

fn most(values: &Array2<f64>) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

fn folds(labels: &[usize], classes: usize, count: usize) -> Vec<usize> {
    stratified(labels, classes, count, &mut seed::stream(1, &["folds"], 0)).expect("folds")
}

/// At the optimum the errors of the points, weighted by them, balance the penalty.
#[test]
fn logistic_regression_ends_where_the_gradient_is_zero() {
    for (n, size, classes) in [(16, 384, 2), (48, 384, 6), (160, 30, 20), (40, 40, 3)] {
        let (mut x, mut labels) = embeddings(n, size, classes);
        // The same text twice, with two labels.
        let first = x.row(0).to_owned();
        x.row_mut(n - 1).assign(&first);
        labels[n - 1] = 1;
        let points = plain(&x, &labels, classes);
        let fits = path(&points, &GRID, OPTIMUM).expect("fits");
        for (&c, linear) in GRID.iter().zip(&fits) {
            let mut error = log_probabilities(linear.logits(x.view()).view()).mapv_into(f64::exp);
            labels.iter().enumerate().for_each(|(point, &label)| error[(point, label)] -= 1.0);
            // The two vectors of two classes are ±w/2, so that their penalty is twice as large.
            let penalty = if classes == 2 { 2.0 / c } else { 1.0 / c };
            let gradient = error.t().dot(&x) + &linear.weight * penalty;
            assert!(most(&gradient) < 1e-9, "{n} {classes} {c}: {}", most(&gradient));
            assert!(error.sum_axis(Axis(0)).iter().all(|sum| sum.abs() < 1e-9), "{n} {c}");
            assert!(linear.bias.sum().abs() < 1e-12);
            let alone = logistic_regression::fit(&points, c).expect("a fit");
            let difference = most(&(&alone.weight - &linear.weight));
            assert!(difference < 1e-7 * most(&alone.weight), "{n} {classes} {c}: {difference}");
        }
    }
}

#[test]
fn weights_are_copies() {
    let (x, labels) = embeddings(12, 5, 3);
    let weights: Vec<f64> = (0..12).map(|point| if point < 4 { 2.0 } else { 1.0 }).collect();
    let weighted = Points { weights: Some(&weights), ..plain(&x, &labels, 3) };
    let kept: Vec<usize> = (0..12).chain(0..4).collect();
    let copied = Part::of(&plain(&x, &labels, 3), &kept);
    let fit = |points: &Points<'_>| logistic_regression::fit(points, 3.0).expect("a fit");
    assert!(most(&(fit(&weighted).weight - fit(&copied.points()).weight)) < 1e-8);
    let means = |points: &Points<'_>| Prototypes::fit(points, None).expect("a fit").means;
    assert!(most(&(means(&weighted) - means(&copied.points()))) < 1e-12);
    assert_eq!(balanced(&[0, 0, 0, 1], 2), [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 2.0]);
}

#[test]
fn lda_is_the_same_in_the_span_of_few_points() {
    let (few, labels) = embeddings(20, 60, 4);
    // The same points with ever more zeros: the span is taken from 27 numbers on.
    let narrow = few.slice(ndarray::s![.., ..24]).to_owned();
    let mut wide = Array2::zeros((20, 60));
    wide.slice_mut(ndarray::s![.., ..24]).assign(&narrow);
    let fit = |x: &Array2<f64>, shrinkage: f64| {
        let points = plain(x, &labels, 4);
        let fit = Lda::fit(&points, Shrinkage::Given(shrinkage), Prior::Counts).expect("a fit");
        fit.linear.logits(x.view())
    };
    // tr SS/E is spread over more numbers; so the same target takes another λ.
    let (lambda, ratio) = (0.3_f64, 60.0 / 24.0);
    let other = ratio * lambda / (1.0 - lambda + ratio * lambda);
    let scale = (1.0 - lambda) / (1.0 - other);
    let (narrow, wide) = (fit(&narrow, lambda), fit(&wide, other) / scale);
    let shift = (1.0 - 1.0 / scale) * 0.25_f64.ln();
    let difference = narrow - wide - shift;
    assert!(most(&difference) < 1e-7, "{difference}");
}

#[test]
fn folds_are_even_and_hold_each_class() {
    for (counts, count) in [(vec![5, 7, 4], 4), (vec![2, 9], 2), (vec![3; 10], 3)] {
        let classes = counts.len();
        let labels: Vec<usize> = counts
            .iter()
            .enumerate()
            .flat_map(|(class, &count)| std::iter::repeat_n(class, count))
            .collect();
        assert_eq!(folds::most(&labels, classes), counts.iter().copied().min().expect("a class"));
        let fold_of = folds(&labels, classes, count);
        assert_eq!(fold_of, folds(&labels, classes, count));
        let spread = |kept: &dyn Fn(usize) -> bool| {
            let sizes = (0..count).map(|fold| {
                (0..labels.len()).filter(|&at| fold_of[at] == fold && kept(at)).count()
            });
            let sizes: Vec<usize> = sizes.collect();
            sizes.iter().max().expect("folds") - sizes.iter().min().expect("folds")
        };
        assert!(spread(&|_| true) <= 1);
        assert!((0..classes).all(|class| spread(&|at| labels[at] == class) <= 1));
    }
}

#[test]
fn no_point_is_scored_by_a_fit_that_has_seen_it() {
    let (x, labels) = embeddings(12, 3, 3);
    let fold_of = folds(&labels, 3, 4);
    let mut fits = 0;
    let logits = out_of_fold(&plain(&x, &labels, 3), &fold_of, |part| {
        fits += 1;
        assert_eq!(part.labels.len(), 9);
        // A map that returns 1 for each point that it has seen.
        let seen = |row| part.x.rows().into_iter().any(|other| other == row);
        let unseen: Vec<bool> = x.rows().into_iter().map(|row| !seen(row)).collect();
        assert_eq!(unseen.iter().filter(|it| **it).count(), 3);
        let fold = fold_of[unseen.iter().position(|it| *it).expect("a held point")];
        let bias = ndarray::Array1::from_elem(3, fold as f64);
        Ok(Linear { weight: Array2::zeros((3, 3)), bias })
    });
    let logits = logits.expect("logits");
    assert_eq!(fits, 4);
    for (point, fold) in fold_of.iter().enumerate() {
        assert_eq!(logits[(point, 0)], *fold as f64);
    }
}

/// Points in no fold are learnt from by every fit, and count in no score.
#[test]
fn points_in_no_fold_judge_nothing() {
    let (x, labels) = embeddings(40, 6, 2);
    // The last ten have the other label.
    let given: Vec<usize> = labels
        .iter()
        .enumerate()
        .map(|(at, &label)| if at < 30 { label } else { 1 - label })
        .collect();
    let mut fold_of = folds(&labels[..30], 2, 3);
    fold_of.extend([folds::NONE; 10]);
    let points = plain(&x, &given, 2);
    let mut sizes = Vec::new();
    let logits = out_of_fold(&points, &fold_of, |part| {
        sizes.push(part.labels.len());
        logistic_regression::fit(&part, 1.0)
    });
    let logits = logits.expect("logits");
    assert_eq!(sizes, [30, 30, 30]);
    assert!(logits.rows().into_iter().skip(30).all(|row| row.iter().all(|logit| *logit == 0.0)));
    let choice = c_by_folds(&points, &fold_of, &[1.0]).expect("a choice");
    let judged = score(logits.slice(ndarray::s![..30, ..]), &given[..30], None);
    assert!((choice.table[0].score.nll - judged.nll).abs() < 1e-6, "{choice:?} {judged:?}");
    assert!((choice.table[0].score.accuracy - judged.accuracy).abs() < 1e-12);
    assert_eq!(folds::count(&fold_of), 3);
    let auto = Auto::of(&points, &fold_of).expect("candidates");
    assert!(auto.candidates.iter().all(|it| (it.score.accuracy * 30.0).fract() < 1e-9
        || (it.score.accuracy * 30.0).fract() > 1.0 - 1e-9));
    let error =
        out_of_fold(&points, &[folds::NONE; 40], |part| logistic_regression::fit(&part, 1.0));
    assert_eq!(error.err(), Some(ClassifierError::TooFewFolds { folds: 1 }));
}

#[test]
fn c_is_the_one_that_does_best_out_of_fold() {
    let (x, labels) = embeddings(48, 20, 3);
    let points = plain(&x, &labels, 3);
    let fold_of = folds(&labels, 3, 4);
    let choice = c_by_folds(&points, &fold_of, &GRID).expect("a choice");
    assert_eq!(choice.table.len(), GRID.len());
    let best = choice.table.iter().find(|row| row.c == choice.c).expect("its row");
    assert!(choice.table.iter().all(|row| row.score.nll >= best.score.nll));
    assert!(choice.c > GRID[0] && choice.c < GRID[10], "{}", choice.c);
    let again = out_of_fold(&points, &fold_of, |part| logistic_regression::fit(&part, choice.c));
    assert!(most(&(again.expect("logits") - &choice.logits)) < 1e-6);
    assert_eq!(score(choice.logits.view(), &labels, None), best.score);

    let auto = Auto::of(&points, &fold_of).expect("candidates");
    assert_eq!(auto.candidates.iter().map(|it| it.kind).collect::<Vec<_>>(), Kind::ALL);
    let best = auto.best().expect("a candidate");
    assert!(auto.candidates.iter().all(|it| it.score.nll >= best.score.nll));
    assert!(best.score.nll < 3f64.ln() / 2.0);
    for candidate in &auto.candidates {
        assert_eq!(candidate.c.is_some(), candidate.kind == Kind::LogisticRegression);
        let linear = candidate.fit(&points).expect("a fit");
        assert!(score(linear.logits(x.view()).view(), &labels, None).accuracy > 0.9);
    }
    // Of equal ones the simplest is taken.
    let same = Array2::zeros((4, 2));
    let labels = [0, 1, 0, 1];
    let auto = Auto::of(&plain(&same, &labels, 2), &[0, 0, 1, 1]).expect("candidates");
    assert_eq!(auto.best().expect("a candidate").kind, Kind::Prototypes);
    assert_eq!(auto.candidates.len(), 2);
}

#[test]
fn what_is_wrong_is_said() {
    let x = arr2(&[[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]);
    let says = |points: Points<'_>| points.check().expect_err("an error").to_string();
    assert_eq!(says(plain(&x, &[0, 1], 2)), "3 points have 2 labels");
    assert_eq!(says(plain(&x, &[0, 0, 0], 1)), "1 class is given, expected at least 2");
    assert_eq!(says(plain(&x, &[0, 1, 0], 3)), "class 2 has no point");
    assert!(says(plain(&x, &[0, 1, 2], 2)).contains("point 2 is of class 2"));
    let broken = arr2(&[[0.0], [f64::INFINITY], [1.0]]);
    assert_eq!(says(plain(&broken, &[0, 1, 0], 2)), "point 1 is not finite");
    let weights = [1.0, 0.0, 1.0];
    let weighted = Points { weights: Some(&weights), ..plain(&x, &[0, 1, 0], 2) };
    assert!(says(weighted).starts_with("point 1 has the weight 0"));

    let stratified = |labels: &[usize], count| {
        let mut random = seed::stream(1, &["folds"], 0);
        stratified(labels, 2, count, &mut random).expect_err("an error")
    };
    assert_eq!(stratified(&[0, 0, 1], 2), ClassifierError::SinglePoint { class: 1 });
    let (folds, class, count) = (3, 1, 2);
    let found = stratified(&[0, 0, 0, 1, 1], 3);
    assert_eq!(found, ClassifierError::TooManyFolds { folds, class, count });
    assert_eq!(stratified(&[0, 0, 1, 1], 1), ClassifierError::TooFewFolds { folds: 1 });

    let points = plain(&x, &[0, 1, 0], 2);
    assert!(logistic_regression::fit(&points, 0.0).is_err());
    assert!(Neighbours::fit(&points, 0).is_err());
    assert!(Neighbours::fit(&points, 1 + points.labels.len()).is_err());
    let lda = |x: &Array2<f64>, labels: &[usize], shrinkage| {
        Lda::fit(&plain(x, labels, 2), shrinkage, Prior::Counts).expect_err("an error")
    };
    let single = ClassifierError::SinglePoint { class: 1 };
    assert_eq!(lda(&x, &[0, 1, 0], Shrinkage::LeaveOneOut), single);
    assert!(lda(&x, &[0, 1, 0], Shrinkage::Given(0.0)).to_string().contains("no covariance of 2"));
    assert!(lda(&x, &[0, 1, 0], Shrinkage::Given(1.5)).to_string().contains("`shrinkage` is 1.5"));
    let same = Array2::from_elem((4, 2), 0.1);
    assert_eq!(lda(&same, &[0, 1, 0, 1], Shrinkage::LedoitWolf), ClassifierError::Flat);
}

/// Finite numbers of any size give a fit or an error.
#[test]
fn extreme_points_do_no_harm() {
    let labels = [0, 1, 0, 1, 2, 2];
    for size in [0.0, 1e-300, 1e-9, 1.0, 1e9, 1e150, 1e300] {
        for columns in [1, 2, 40] {
            let x = Array2::from_shape_fn((6, columns), |(i, j)| size * ((i * 5 + j) as f64).sin());
            let points = plain(&x, &labels, 3);
            for c in [1e-300, 1e-3, 1.0, 1e6, 1e300] {
                let _ = logistic_regression::fit(&points, c);
            }
            let _ = Prototypes::fit(&points, None);
            let _ = Neighbours::fit(&points, 2).map(|fit| fit.logits(x.view()));
            for shrinkage in [0.0, 0.5, 1.0].map(Shrinkage::Given) {
                let _ = Lda::fit(&points, shrinkage, Prior::Counts);
            }
            let _ = Lda::fit(&points, Shrinkage::LeaveOneOut, Prior::Counts);
            let _ = Auto::of(&points, &[0, 0, 1, 1, 0, 1]);
        }
    }
}
