//! Comparisons of constructed results: conclusions that must be drawn, and conclusions that must
//! not.

use serde_json::Value;

use super::*;
use crate::data::predictions::Block;
use crate::data::{Prediction, Tag};
use crate::metrics::{Row, all};
use crate::results::row::ResultRow;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn row(stage: &str, seed: u64, value: f64) -> ResultRow {
    ResultRow {
        run: "20260101T000000Z-support-aa11".into(),
        pipeline: "support".into(),
        stage: stage.into(),
        seed,
        split: "test".into(),
        n: 200,
        metrics: [("accuracy".to_owned(), value), ("nll".to_owned(), 1.0 - value)].into(),
        ..ResultRow::default()
    }
}

fn rows(stage: &str, values: &[f64]) -> Vec<ResultRow> {
    values.iter().enumerate().map(|(seed, value)| row(stage, seed as u64, *value)).collect()
}

fn source(rows: Vec<ResultRow>) -> Source {
    Source { name: "made".into(), rows, ..Source::default() }
}

/// Five seeds, with which the second recipe is clearly better and the third is not.
fn three() -> Vec<ResultRow> {
    [
        rows("plain", &[0.71, 0.70, 0.68, 0.73, 0.72]),
        rows("more", &[0.76, 0.74, 0.75, 0.78, 0.77]),
        rows("other", &[0.74, 0.66, 0.73, 0.70, 0.73]),
    ]
    .concat()
}

/// Predictions of 200 texts of two classes: the first `right` of them in the order of `place` are
/// right.
fn block(stage: &str, seed: u64, right: usize, place: impl Fn(usize) -> usize) -> Block {
    let rows = (0..200)
        .map(|item| {
            let label = item % 2;
            let prediction = if place(item) < right { label } else { 1 - label };
            Prediction {
                id: format!("row-{item}"),
                text: format!("text {item}"),
                label,
                prediction,
                probabilities: if prediction == 0 { vec![0.75, 0.25] } else { vec![0.25, 0.75] },
            }
        })
        .collect();
    Block {
        tag: Tag { stage: stage.into(), trial: None, seed },
        labels: vec!["no".into(), "yes".into()],
        rows,
    }
}

/// Sets a row's metrics to those of its predictions.
fn with_metrics(mut row: ResultRow, block: &Block) -> ResultRow {
    let rows: Vec<Row<'_>> = block
        .rows
        .iter()
        .map(|row| Row {
            label: row.label,
            prediction: row.prediction,
            probabilities: &row.probabilities,
        })
        .collect();
    row.metrics = all(&block.labels, &rows);
    row
}

/// Recipes with the number of right texts at each seed, and the index where wrong texts begin.
fn predicted(recipes: &[(&str, &[usize], usize)]) -> Source {
    let mut made = source(Vec::new());
    for (stage, rights, from) in recipes {
        for (seed, &right) in rights.iter().enumerate() {
            let block = block(stage, seed as u64, right, |item| (item + 200 - from) % 200);
            made.rows.push(with_metrics(row(stage, seed as u64, 0.0), &block));
            made.predictions.push(block);
        }
    }
    made
}

fn verdicts(comparison: &Comparison) -> Vec<(&str, Option<Verdict>)> {
    comparison
        .recipes
        .iter()
        .map(|r| (r.name.as_str(), r.against.as_ref().map(|a| a.verdict)))
        .collect()
}

fn find<'a>(comparison: &'a Comparison, name: &str) -> Result<&'a Recipe, String> {
    let names = || comparison.recipes.iter().map(|recipe| recipe.name.as_str()).collect::<Vec<_>>();
    comparison
        .recipes
        .iter()
        .find(|recipe| recipe.name == name)
        .ok_or_else(|| format!("{:?}", names()))
}

fn says(comparison: &Comparison, text: &str) -> bool {
    comparison.notes.iter().any(|note| note.contains(text))
}

#[test]
fn a_clear_difference_is_found_and_an_unclear_one_is_not() -> TestResult {
    let comparison = compare(&[source(three())], &Request::default())?;
    assert_eq!(
        (comparison.metric.as_str(), comparison.baseline.as_deref()),
        ("accuracy", Some("plain"))
    );
    assert_eq!(
        verdicts(&comparison),
        [
            ("plain", None),
            ("more", Some(Verdict::Better)),
            ("other", Some(Verdict::TooFewSeeds { more: Some(114) })),
        ]
    );
    let more = find(&comparison, "more")?.against.clone().ok_or("not compared")?;
    assert!((more.difference - 0.052).abs() < 1e-12);
    assert_eq!(
        (more.test, more.seeds.len(), more.wilcoxon_p),
        (Some(Test::PairedT), 5, Some(0.0625))
    );
    // Holm: the smaller of two counts twice.
    assert_eq!(more.p_holm, more.p.map(|p| 2.0 * p));
    assert!(says(&comparison, "with 5 pairs, Wilcoxon's test cannot give p below 0.0625"));
    let ranks = comparison.ranks.as_ref().ok_or("no ranks")?;
    assert_eq!((ranks.recipes, ranks.seeds), (3, 5));
    assert_eq!(find(&comparison, "more")?.rank, Some(1.0));
    assert!(says(&comparison, "only the number of test rows"));
    Ok(())
}

/// Many comparisons of equal recipes: a winner is named no more often than a family-wise level of
/// 0.05 allows.
#[test]
fn among_equals_there_is_hardly_ever_a_winner() -> TestResult {
    use rand::Rng;
    let mut random = crate::base::seed::stream(3, &["test", "equals"], 0);
    let mut value = || {
        let sum: f64 = (0..12).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum();
        0.7 + 0.03 * (sum - 6.0)
    };
    let mut wrong = 0;
    for _ in 0..600 {
        let recipes: Vec<ResultRow> = ["a", "b", "c", "d", "e"]
            .iter()
            .flat_map(|stage| rows(stage, &[value(), value(), value(), value(), value()]))
            .collect();
        let comparison = compare(&[source(recipes)], &Request::default())?;
        let named = |(_, verdict): &(&str, Option<Verdict>)| {
            matches!(verdict, Some(Verdict::Better | Verdict::Worse))
        };
        wrong += usize::from(verdicts(&comparison).iter().any(named));
    }
    assert!(wrong <= 42, "{wrong} of 600");
    Ok(())
}

#[test]
fn less_is_better_of_a_loss() -> TestResult {
    let request = Request { metrics: vec!["nll".into()], ..Request::default() };
    let comparison = compare(&[source(three())], &request)?;
    let more = find(&comparison, "more")?;
    assert!(comparison.less_is_better && more.against.as_ref().is_some_and(|a| a.difference < 0.0));
    assert_eq!(more.against.as_ref().map(|a| a.verdict), Some(Verdict::Better));
    assert_eq!(more.rank, Some(1.0));
    let request = Request { baseline: Some("more".into()), ..request };
    let comparison = compare(&[source(three())], &request)?;
    assert_eq!(
        find(&comparison, "plain")?.against.as_ref().map(|a| a.verdict),
        Some(Verdict::Worse)
    );
    assert_eq!(comparison.recipes[0].name, "more");
    Ok(())
}

#[test]
fn enough_seeds_without_a_difference_say_so() -> TestResult {
    let noise = [0.001, -0.002, 0.003, -0.001, 0.0, 0.002, -0.003, 0.001];
    let base = [0.70, 0.71, 0.69, 0.72, 0.70, 0.73, 0.68, 0.71];
    let other: Vec<f64> = base.iter().zip(noise).map(|(a, b)| a + b).collect();
    let comparison = compare(
        &[source([rows("a", &base), rows("b", &other), rows("c", &base)].concat())],
        &Request::default(),
    )?;
    assert_eq!(
        verdicts(&comparison)[1..],
        [("b", Some(Verdict::NoDifference)), ("c", Some(Verdict::NoDifference))]
    );
    Ok(())
}

#[test]
fn a_difference_that_never_varies_is_no_certainty() -> TestResult {
    let lifted: Vec<f64> =
        [0.71, 0.70, 0.68, 0.73, 0.72].iter().map(|value| value + 0.01).collect();
    let made =
        source([rows("plain", &[0.71, 0.70, 0.68, 0.73, 0.72]), rows("lifted", &lifted)].concat());
    let comparison = compare(&[made], &Request::default())?;
    let against = find(&comparison, "lifted")?.against.clone().ok_or("not compared")?;
    assert_eq!(
        (against.test, against.p, against.effect_size),
        (Some(Test::Wilcoxon), Some(0.0625), None)
    );
    assert_eq!(against.verdict, Verdict::TooFewSeeds { more: None });
    assert!(says(&comparison, "the same difference at every seed"));
    Ok(())
}

#[test]
fn one_seed_names_no_winner() -> TestResult {
    let made = predicted(&[("plain", &[120], 0), ("more", &[190], 0)]);
    let comparison = compare(&[made], &Request::default())?;
    let against = find(&comparison, "more")?.against.clone().ok_or("not compared")?;
    assert_eq!((against.verdict, against.p), (Verdict::TooFewSeeds { more: None }, None));
    let items = against.items.ok_or("no items")?;
    assert_eq!((items.texts, items.only_baseline_right, items.only_this_right), (200, 0, 70));
    assert!(items.mcnemar_p < 1e-9 && items.interval.is_some_and(|interval| interval.low > 0.2));
    assert!(find(&comparison, "plain")?.summary.is_some_and(|summary| summary.deviation.is_none()));
    assert!(says(&comparison, "one seed does not show the noise"));
    Ok(())
}

#[test]
fn seeds_that_agree_on_texts_that_do_not() -> TestResult {
    // Always two more of 200 texts, but with changes both ways: the seeds show a difference, the
    // texts do not.
    let made = predicted(&[
        ("plain", &[120, 122, 118, 121, 119, 120], 0),
        ("more", &[123, 124, 120, 124, 121, 123], 60),
    ]);
    let request = Request { metrics: vec!["accuracy".into()], ..Request::default() };
    let comparison = compare(std::slice::from_ref(&made), &request)?;
    let against = find(&comparison, "more")?.against.clone().ok_or("not compared")?;
    assert!(against.p_holm.is_some_and(|p| p < 0.01), "{against:?}");
    assert!(
        against
            .items
            .and_then(|items| items.interval)
            .is_some_and(|interval| interval.holds_zero())
    );
    assert_eq!(against.verdict, Verdict::TooFewTexts);
    // The same for a metric that is not a mean over texts, and for a metric of probabilities.
    for metric in ["macro_f1", "brier"] {
        let request = Request { metrics: vec![metric.into()], ..Request::default() };
        let comparison = compare(std::slice::from_ref(&made), &request)?;
        let items =
            find(&comparison, "more")?.against.as_ref().and_then(|a| a.items).ok_or("no items")?;
        assert!(
            items.interval.is_some_and(|interval| interval.high - interval.low > 0.05),
            "{metric}"
        );
    }
    Ok(())
}

#[test]
fn predictions_that_are_not_of_the_results_are_not_used() -> TestResult {
    let mut made = predicted(&[("plain", &[120, 122], 0), ("more", &[123, 124], 60)]);
    made.rows[2].metrics["accuracy"] += 0.01;
    let request = Request { metrics: vec!["accuracy".into()], ..Request::default() };
    let comparison = compare(std::slice::from_ref(&made), &request)?;
    assert!(says(&comparison, "the predictions do not match the metric in the results: `more`"));
    made.predictions.pop();
    let comparison = compare(&[made], &request)?;
    assert!(says(&comparison, "predictions of one or both recipes are missing: `more`"));
    Ok(())
}

#[test]
fn different_test_rows_are_refused() -> TestResult {
    let mut made = predicted(&[("plain", &[120, 122], 0), ("more", &[123, 124], 60)]);
    made.predictions[3].rows[7].text = "another".into();
    let error = compare(std::slice::from_ref(&made), &Request::default())
        .err()
        .ok_or("no error")?
        .to_string();
    assert!(
        error.starts_with("recipes were tested on different rows: `plain` at seed 0 on texts "),
        "{error}"
    );
    let allowed = Request { different_tests: true, ..Request::default() };
    let comparison = compare(&[made], &allowed)?;
    assert!(!comparison.test_rows.same && comparison.test_rows.digest.is_none());
    assert!(says(&comparison, "differences may be due to the texts"));
    let mut rows = three();
    rows[7].n = 100;
    let error = compare(&[source(rows)], &Request::default()).err().ok_or("no error")?.to_string();
    assert_eq!(error, "recipes were tested on different rows: `plain` on 200, `more` on 100");
    Ok(())
}

#[test]
fn runs_with_other_seeds_add_to_a_recipe_and_reruns_do_not() -> TestResult {
    let of_run = |run: &str, seeds: std::ops::Range<u64>, by: f64| -> Vec<ResultRow> {
        let made = seeds.map(|seed| ResultRow {
            run: run.into(),
            ..row("score", seed, 0.7 + by + 0.001 * seed as f64)
        });
        made.collect()
    };
    let first = source(of_run("20260101T000000Z-x-aa11", 0..3, 0.0));
    let more = source(of_run("20260102T000000Z-x-bb22", 3..5, 0.0));
    let comparison = compare(&[first.clone(), more.clone()], &Request::default())?;
    assert_eq!(comparison.recipes.len(), 1);
    assert_eq!(
        (comparison.recipes[0].seeds.as_slice(), comparison.runs.len()),
        ([0, 1, 2, 3, 4].as_slice(), 2)
    );
    assert!(says(&comparison, "there is only one recipe"));
    // A source that is named twice counts once.
    assert_eq!(
        compare(&[first.clone(), first.clone()], &Request::default())?.recipes[0].seeds.len(),
        3
    );
    // The same seeds in another run: the runs differ in something that is not in the rows.
    let again = source(of_run("20260103T000000Z-x-cc33", 0..3, 0.02));
    let comparison = compare(
        &[first.clone(), again],
        &Request { baseline: Some("cc33".into()), ..Request::default() },
    )?;
    assert_eq!(
        verdicts(&comparison).into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["score (run cc33)", "score (run aa11)"]
    );
    // Different pipelines with the same names are different recipes, whatever their seeds.
    let with = |source: &Source, fingerprint: &str| Source {
        fingerprint: Some(fingerprint.into()),
        ..source.clone()
    };
    let comparison = compare(&[with(&first, "a"), with(&more, "b")], &Request::default())?;
    assert_eq!(comparison.recipes.len(), 2);
    assert_eq!(comparison.recipes[1].against.as_ref().map(|a| a.test), Some(Some(Test::Welch)));
    assert!(says(&comparison, "Welch's unpaired test"));
    Ok(())
}

/// Rows of a search over a learning rate, three seeds a trial.
fn search() -> Vec<ResultRow> {
    let mut rows = Vec::new();
    for trial in 0..6u64 {
        for seed in 0..3u64 {
            let noise = ((trial * 7 + seed * 5) % 11) as f64 / 100.0;
            rows.push(ResultRow {
                trial: Some(trial),
                params: [
                    ("rate".to_owned(), Value::from(if trial < 3 { 1e-5 } else { 5e-5 })),
                    ("shots".to_owned(), Value::from(8)),
                ]
                .into(),
                ..row("score", seed, 0.6 + noise)
            });
        }
    }
    rows
}

#[test]
fn the_best_of_a_search_is_marked_and_corrected() -> TestResult {
    let mut rows = search();
    rows[16].error = Some("the loss is NaN".into());
    rows[17].stopped_epoch = Some(2);
    rows[15].stopped_epoch = Some(1);
    let comparison = compare(
        &[source(rows)],
        &Request { sort_by: Some("accuracy".into()), ..Request::default() },
    )?;
    let selected = comparison.selected.as_ref().ok_or("none selected")?;
    assert_eq!((selected.trials, selected.resampled), (5, Some("seeds")));
    assert!(
        selected.bias.is_some_and(|bias| bias > 0.0) && selected.corrected < Some(selected.value),
        "{selected:?}"
    );
    let marked: Vec<&str> =
        comparison.recipes.iter().filter(|r| r.is_selected).map(|r| r.name.as_str()).collect();
    assert_eq!(marked, [selected.name.as_str()]);
    // Recipes that are left out come last, with the reason.
    let last = comparison.recipes.last().ok_or("no recipe")?;
    assert_eq!((last.name.as_str(), last.summary, last.against.clone()), ("trial 5", None, None));
    assert_eq!(last.skipped.len(), 3);
    assert!(says(&comparison, "rows left out: 1 failed, 2 stopped early"));
    let means: Vec<f64> =
        comparison.recipes[1..5].iter().filter_map(|r| Some(r.summary?.mean)).collect();
    assert!(means.is_sorted_by(|a, b| a >= b), "{means:?}");
    assert_eq!(comparison.changed_params, ["rate"]);
    Ok(())
}

#[test]
fn one_seed_of_a_search_is_corrected_over_texts() -> TestResult {
    let mut made = predicted(&[
        ("score", &[120], 0),
        ("score", &[122], 20),
        ("score", &[121], 40),
        ("score", &[119], 60),
    ]);
    for (trial, (row, block)) in made.rows.iter_mut().zip(&mut made.predictions).enumerate() {
        (row.trial, block.tag.trial) = (Some(trial as u64), Some(trial as u64));
    }
    let comparison = compare(std::slice::from_ref(&made), &Request::default())?;
    let selected = comparison.selected.as_ref().ok_or("none selected")?;
    assert_eq!((selected.name.as_str(), selected.resampled), ("trial 1", Some("texts")));
    assert!(selected.bias.is_some_and(|bias| (0.005..0.06).contains(&bias)), "{selected:?}");
    made.predictions.clear();
    let comparison = compare(&[made], &Request::default())?;
    assert!(comparison.selected.is_some_and(|selected| selected.corrected.is_none()));
    Ok(())
}

#[test]
fn parameters_are_summed_up_by_value() -> TestResult {
    for name in ["rate", "param.rate", "params.rate"] {
        let comparison =
            compare(&[source(search())], &Request { by: Some(name.into()), ..Request::default() })?;
        let by = comparison.by.ok_or("nothing summed up")?;
        assert_eq!(by.parameter, "rate");
        let groups: Vec<(Option<f64>, usize)> = by
            .groups
            .iter()
            .map(|group| (group.value.as_ref().and_then(Value::as_f64), group.recipes))
            .collect();
        assert_eq!(groups, [(Some(1e-5), 3), (Some(5e-5), 3)]);
    }
    let error =
        compare(&[source(search())], &Request { by: Some("rat".into()), ..Request::default() });
    let Err(CompareError::Format(error)) = error else { panic!("no column is called `rat`") };
    assert!(format!("{error:?}").contains("did you mean `rate`?"));
    Ok(())
}

#[test]
fn intervals_stay_within_what_the_metric_can_be() -> TestResult {
    let made = [rows("plain", &[0.93, 1.0, 1.0]), rows("more", &[0.02, 1.0, 0.0])].concat();
    let compared = compare(&[source(made)], &Request::default())?;
    let plain = find(&compared, "plain")?;
    let interval = plain.summary.and_then(|summary| summary.interval).ok_or("no interval")?;
    // As SciPy has it in tests/data/statistics.json.
    assert!((interval.low - 0.876_271_436_305_845_9).abs() < 1e-9, "{interval:?}");
    assert_eq!(interval.high, 1.0);
    let more = find(&compared, "more")?;
    let interval = more.summary.and_then(|summary| summary.interval).ok_or("no interval")?;
    assert_eq!((interval.low, interval.high), (0.0, 1.0));
    let difference = more.against.as_ref().and_then(|a| a.interval).ok_or("no interval")?;
    assert_eq!(difference.low, -1.0);
    assert!(difference.high <= 1.0);
    // Another metric has its own range.
    let request = Request { metrics: vec!["nll".into(), "accuracy".into()], ..Request::default() };
    let made = [rows("plain", &[0.93, 1.0, 1.0]), rows("more", &[0.9, 0.99, 0.97])].concat();
    let compared = compare(&[source(made)], &request)?;
    let plain = find(&compared, "plain")?;
    let interval = plain.summary.and_then(|summary| summary.interval).ok_or("no interval")?;
    assert!(interval.low == 0.0 && (0.12..0.13).contains(&interval.high), "{interval:?}");
    let other = plain.others["accuracy"].interval.ok_or("no interval")?;
    assert_eq!(other.high, 1.0);
    Ok(())
}

#[test]
fn texts_that_flip_are_listed_with_how_often() -> TestResult {
    let made = predicted(&[("plain", &[120, 122, 118], 0), ("more", &[123, 124, 150], 0)]);
    let request = Request { examples: Some(None), most_examples: 3, ..Request::default() };
    let examples = compare(std::slice::from_ref(&made), &request)?.examples.ok_or("no examples")?;
    assert_eq!(
        (examples.recipe.as_str(), examples.seeds, examples.flipped, examples.examples.len()),
        ("more", 3, 32, 3)
    );
    let first = &examples.examples[0];
    assert_eq!(
        (first.text.as_str(), first.label.as_str(), first.fixed, first.broken),
        ("text 122", "no", 3, 0)
    );
    assert_eq!(first.baseline, [Vote { prediction: "yes".into(), seeds: 3 }]);
    let wrong = Request { examples: Some(Some("mor".into())), ..request.clone() };
    let error = compare(std::slice::from_ref(&made), &wrong).err().ok_or("no error")?;
    assert!(format!("{error:?}").contains("did you mean `more`?"), "{error:?}");
    let error = compare(&[source(made.rows)], &request).err().ok_or("no error")?.to_string();
    assert_eq!(error, "there are no predictions to list texts from: `plain` has none at seed 0");
    Ok(())
}

#[test]
fn what_does_not_exist_is_named_with_what_does() -> TestResult {
    let told = |request: Request| -> Result<String, String> {
        let error = compare(&[source(three())], &request).err().ok_or("no error")?;
        let help =
            miette::Diagnostic::help(&error).map(|help| help.to_string()).unwrap_or_default();
        Ok(format!("{error}; {help}"))
    };
    let request = Request::default;
    assert_eq!(
        told(Request { metrics: vec!["acuracy".into()], ..request() })?,
        "there is no metric `acuracy`; did you mean `accuracy`?"
    );
    assert_eq!(
        told(Request { baseline: Some("plan".into()), ..request() })?,
        "there is no recipe `plan`; did you mean `plain`?"
    );
    assert_eq!(
        told(Request { baseline: Some("nothing alike".into()), ..request() })?,
        "there is no recipe `nothing alike`; there are `plain`, `more`, `other`"
    );
    assert_eq!(
        told(Request { split: Some("dev".into()), ..request() })?,
        "there are no results of split `dev`; the splits are `test`"
    );
    assert_eq!(
        told(Request { seeds: vec![0, 9], ..request() })?,
        "there are no results of seed 9; the seeds are `0`, `1`, `2`, `3`, `4`"
    );
    assert_eq!(
        told(Request { sort_by: Some("acc".into()), ..request() })?,
        "there is no column to sort by `acc`; there are `accuracy`, `nll`, `stage`, `trial`, `n`, \
         `steps`, `seconds`"
    );
    let many =
        compare(&[source(search())], &Request { baseline: Some("score".into()), ..request() })
            .err();
    assert_eq!(many.map(|error| error.to_string()).as_deref(), Some("`score` matches 6 recipes"));
    let none = compare(&[source(Vec::new())], &request()).err().map(|error| error.to_string());
    assert_eq!(none.as_deref(), Some("there are no results to compare in `made`"));
    let mut failed = rows("a", &[0.5]);
    failed[0].metrics.clear();
    failed[0].error = Some("the loss is NaN".into());
    let all = compare(&[source(failed.clone())], &request()).err().map(|error| error.to_string());
    assert_eq!(
        all.as_deref(),
        Some("there are no results to compare: all failed, for example with `the loss is NaN`")
    );
    failed.extend(rows("b", &[0.5]));
    let base =
        compare(&[source(failed)], &Request { baseline: Some("a".into()), ..request() }).err();
    assert_eq!(
        base.map(|error| error.to_string()).as_deref(),
        Some("`a` has no finished results to compare with: the loss is NaN")
    );
    Ok(())
}

#[test]
fn splits_and_seeds_can_be_chosen() -> TestResult {
    let mut made = three();
    made.extend(three().into_iter().map(|row| ResultRow { split: "dev".into(), ..row }));
    let comparison = compare(&[source(made.clone())], &Request::default())?;
    assert_eq!((comparison.split.as_str(), comparison.recipes.len()), ("test", 3));
    assert!(says(&comparison, "15 rows of split dev left out"));
    let request = Request { split: Some("dev".into()), seeds: vec![1, 3], ..Request::default() };
    let comparison = compare(&[source(made)], &request)?;
    assert_eq!(
        (comparison.split.as_str(), comparison.recipes[0].seeds.as_slice()),
        ("dev", [1, 3].as_slice())
    );
    let request = Request { top: Some(1), sort_by: Some("accuracy".into()), ..Request::default() };
    let comparison = compare(&[source(three())], &request)?;
    assert_eq!(verdicts(&comparison).len(), 2);
    assert!(says(&comparison, "2 of 3 recipes are shown"));
    Ok(())
}
