//! The statistics compared with results of SciPy and statsmodels, and with general properties.

use serde::Deserialize;

use super::*;
use crate::base::seed;

/// The record of tests/record_statistics.py.
#[derive(Deserialize)]
struct Recorded {
    pairs: Vec<Pair>,
    bounded: Vec<Bounded>,
    holm: Vec<Holm>,
    mcnemar: Vec<McNemar>,
    friedman: Vec<Blocks>,
    studentized_range: Vec<Range>,
    studentized_range_quantiles: Vec<Quantile>,
    power: Vec<Power>,
}

#[derive(Deserialize)]
struct Pair {
    a: Vec<f64>,
    b: Vec<f64>,
    mean: f64,
    deviation: f64,
    interval: [f64; 2],
    p: f64,
    difference: [f64; 2],
    dz: f64,
    welch_p: f64,
    welch_difference: [f64; 2],
    wilcoxon_p: f64,
}

#[derive(Deserialize)]
struct Bounded {
    values: Vec<f64>,
    range: (f64, f64),
    interval: [f64; 2],
}

#[derive(Deserialize)]
struct Holm {
    p: Vec<f64>,
    corrected: Vec<f64>,
}

#[derive(Deserialize)]
struct McNemar {
    counts: [u64; 2],
    p: f64,
}

#[derive(Deserialize)]
struct Blocks {
    blocks: Vec<Vec<f64>>,
    statistic: f64,
    p: f64,
    ranks: Vec<f64>,
}

#[derive(Deserialize)]
struct Range {
    range: f64,
    count: usize,
    above: f64,
}

#[derive(Deserialize)]
struct Quantile {
    count: usize,
    range: f64,
}

#[derive(Deserialize)]
struct Power {
    deviation: f64,
    seeds: u64,
}

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn recorded() -> Result<Recorded, serde_json::Error> {
    serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/statistics.json"
    )))
}

fn assert_near(ours: f64, theirs: f64, what: &str) {
    let difference = (ours - theirs).abs() / theirs.abs().max(1e-3);
    assert!(difference < 1e-7, "{what}: {ours} and {theirs}");
}

fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| b - a).collect()
}

/// The range of values that have no bounds.
const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

#[test]
fn intervals_of_bounded_values_stay_within_the_bounds() -> TestResult {
    let recorded = recorded()?.bounded;
    let cut = |case: &&Bounded| case.interval.iter().any(|end| [0.0, 1.0, -1.0].contains(end));
    assert!(recorded.iter().filter(cut).count() >= 4);
    for case in recorded {
        let name = format!("{:?} in {:?}", case.values, case.range);
        let summary = Summary::of(&case.values, case.range).ok_or("no summary")?;
        let interval = summary.interval.ok_or("no interval")?;
        assert_near(interval.low, case.interval[0], &name);
        assert_near(interval.high, case.interval[1], &name);
        assert!(case.range.0 <= interval.low && interval.high <= case.range.1, "{name}");
        assert!(interval.low <= summary.mean && summary.mean <= interval.high, "{name}");
    }
    Ok(())
}

#[test]
fn pairs_agree_with_scipy() -> TestResult {
    for pair in recorded()?.pairs {
        let name = format!("{} pairs", pair.a.len());
        let summary = Summary::of(&pair.a, ANY).ok_or("no summary")?;
        assert_near(summary.mean, pair.mean, &name);
        assert_near(summary.deviation.ok_or("no deviation")?, pair.deviation, &name);
        let interval = summary.interval.ok_or("no interval")?;
        assert_near(interval.low, pair.interval[0], &name);
        assert_near(interval.high, pair.interval[1], &name);
        let differences = differences(&pair.a, &pair.b);
        let test = paired(&differences).ok_or("no test")?;
        assert_near(test.p.ok_or("no p")?, pair.p, &name);
        assert_near(test.interval.low, pair.difference[0], &name);
        assert_near(test.interval.high, pair.difference[1], &name);
        assert_near(cohens_dz(&differences).ok_or("no effect")?, pair.dz, &name);
        let test = welch(&pair.a, &pair.b).ok_or("no test")?;
        assert_near(test.p.ok_or("no p")?, pair.welch_p, &name);
        assert_near(test.interval.low, pair.welch_difference[0], &name);
        assert_near(test.interval.high, pair.welch_difference[1], &name);
        assert_near(wilcoxon(&differences), pair.wilcoxon_p, &format!("Wilcoxon's test of {name}"));
    }
    Ok(())
}

#[test]
fn counts_and_corrections_agree_with_statsmodels() -> TestResult {
    let recorded = recorded()?;
    for case in recorded.holm {
        for (ours, theirs) in holm(&case.p).into_iter().zip(case.corrected) {
            assert_near(ours, theirs, "Holm");
        }
    }
    for case in recorded.mcnemar {
        assert_near(mcnemar(case.counts[0], case.counts[1]), case.p, "McNemar");
    }
    for case in recorded.power {
        assert_eq!(
            seeds_needed(case.deviation, 0.01),
            Some(case.seeds),
            "deviation {}",
            case.deviation
        );
    }
    Ok(())
}

#[test]
fn many_recipes_agree_with_scipy() -> TestResult {
    let recorded = recorded()?;
    for case in recorded.friedman {
        let ours = friedman(&case.blocks).ok_or("no test")?;
        assert_near(ours.statistic, case.statistic, "Friedman's statistic");
        assert_near(ours.p, case.p, "Friedman's p");
        for (ours, theirs) in ours.ranks.into_iter().zip(case.ranks) {
            assert_near(ours, theirs, "mean rank");
        }
    }
    for case in recorded.studentized_range {
        let ours = studentized_range::above(case.range, case.count);
        assert!((ours - case.above).abs() < 1e-9, "{} of {}: {ours}", case.range, case.count);
    }
    for case in recorded.studentized_range_quantiles {
        let ours = studentized_range::quantile_above(0.05, case.count);
        assert!((ours - case.range).abs() < 1e-6, "{}: {ours} and {}", case.count, case.range);
    }
    // Demšar (2006), § 3.2.2: four classifiers on 14 data sets.
    assert!((critical_difference(4, 14) - 1.25).abs() < 0.005);
    Ok(())
}

#[test]
fn what_never_varies_is_called_neither_sure_nor_large() -> TestResult {
    // Differences of rounded scores.
    let same = [0.71 - 0.7, 0.81 - 0.8, 0.51 - 0.5, 0.91 - 0.9, 0.41 - 0.4];
    let test = paired(&same).ok_or("no test")?;
    assert_eq!((test.p, test.deviation, cohens_dz(&same)), (None, Some(0.0), None));
    assert_eq!(wilcoxon(&same), 0.0625);
    assert_eq!(cohens_dz(&[0.0, 0.0]), Some(0.0));
    assert_eq!(wilcoxon(&[0.0, 0.0]), 1.0);
    assert_eq!(welch(&[0.5, 0.5], &[0.6, 0.6]).and_then(|test| test.p), None);
    assert_eq!(
        Summary::of(&[0.5], ANY).map(|summary| (summary.deviation, summary.interval)),
        Some((None, None))
    );
    assert_eq!((paired(&[0.1]), Summary::of(&[], ANY), friedman(&[])), (None, None, None));
    assert_eq!(friedman(&[vec![0.5; 3], vec![0.7; 3]]), None);
    assert_eq!(seeds_needed(0.0, 0.01), Some(2));
    assert_eq!(seeds_needed(f64::NAN, 0.01), None);
    assert!(seeds_needed(1e6, 0.01).is_some_and(|seeds| seeds > 1_000_000));
    Ok(())
}

#[test]
fn p_values_of_the_same_texts_are_combined_without_independence() {
    assert_eq!(twice_the_median(&[]), None);
    assert_eq!(twice_the_median(&[0.03]), Some(0.03));
    assert_eq!(twice_the_median(&[0.01, 0.9]), Some(0.9));
    assert_eq!(twice_the_median(&[0.3, 0.01, 0.02]), Some(0.03));
}

/// Normal deviates, enough for simulations.
fn normals(random: &mut impl rand::Rng, count: usize) -> Vec<f64> {
    let uniform = |random: &mut dyn FnMut() -> u32| (f64::from(random()) + 0.5) / 4_294_967_296.0;
    let mut draw = || random.next_u32();
    (0..count)
        .map(|_| {
            let (a, b) = (uniform(&mut draw), uniform(&mut draw));
            (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
        })
        .collect()
}

#[test]
fn so_many_seeds_show_a_point_four_times_in_five() {
    let mut random = seed::stream(1, &["test", "power"], 0);
    for deviation in [0.006, 0.02] {
        let count = seeds_needed(deviation, 0.01).unwrap_or(0) as usize;
        let found = (0..4000)
            .filter(|_| {
                let sample: Vec<f64> =
                    normals(&mut random, count).into_iter().map(|z| 0.01 + deviation * z).collect();
                paired(&sample).and_then(|test| test.p).is_some_and(|p| p < 0.05)
            })
            .count();
        let share = found as f64 / 4000.0;
        assert!((0.78..0.9).contains(&share), "{count} seeds: {share}");
    }
}

#[test]
fn the_bootstrap_gives_the_interval_of_a_mean() -> TestResult {
    let mut random = seed::stream(1, &["test", "bootstrap"], 0);
    // On 60 of 400 items only the first is right, on 30 only the second.
    let groups: Vec<u32> = (0..400)
        .map(|item| u32::from(item < 60) + 2 * u32::from((60..90).contains(&item)))
        .collect();
    let difference =
        |weights: &[u32]| Some((f64::from(weights[1]) - f64::from(weights[2])) / 400.0);
    let found = paired_bootstrap(&groups, 10_000, &mut random, difference).ok_or("no interval")?;
    // ± 1.96 · √((90 − 30² / 400) / 400²)
    let half = 1.96 * ((90.0 - 30.0 * 30.0 / 400.0) / 160_000.0f64).sqrt();
    assert!((found.interval.low - (0.075 - half)).abs() < 0.003, "{found:?}");
    assert!((found.interval.high - (0.075 + half)).abs() < 0.003, "{found:?}");
    let again = paired_bootstrap(
        &groups,
        10_000,
        &mut seed::stream(1, &["test", "bootstrap"], 0),
        difference,
    );
    assert_eq!(again, Some(found));
    assert_eq!(paired_bootstrap(&[], 100, &mut random, difference), None);
    assert_eq!(paired_bootstrap(&groups, 100, &mut random, |_| None), None);
    Ok(())
}

/// Twenty recipes with equal true values: the best looks better through lucky seeds, the corrected
/// value does not.
#[test]
fn the_luck_of_the_best_is_taken_off() {
    let mut random = seed::stream(1, &["test", "selection"], 0);
    let (mut measured, mut corrected) = (0.0, 0.0);
    for _ in 0..200 {
        let values: Vec<Vec<f64>> = (0..20)
            .map(|_| normals(&mut random, 5).into_iter().map(|z| 0.7 + 0.03 * z).collect())
            .collect();
        let value = |recipe: usize, weights: &[u32]| {
            let sum: f64 = values[recipe].iter().zip(weights).map(|(v, &w)| v * f64::from(w)).sum();
            Some(sum / f64::from(weights.iter().sum::<u32>()))
        };
        let mut inner = seed::stream(2, &["test", "selection"], 0);
        let Some(found) = selection(20, 5, 1.0, 200, &mut inner, value) else { continue };
        measured += found.value / 200.0;
        corrected += found.corrected / 200.0;
    }
    // 0.03 / √5 times the mean of the largest of twenty normal deviates, 1.867.
    assert!((measured - 0.725).abs() < 0.002, "{measured}");
    assert!((corrected - 0.7).abs() < 0.003, "{corrected}");
}

#[test]
fn a_loss_is_corrected_upwards_and_a_clear_best_hardly_at_all() -> TestResult {
    let mut random = seed::stream(1, &["test", "selection"], 1);
    let values = [[0.5, 0.52, 0.51], [0.2, 0.21, 0.19], [0.6, 0.61, 0.62]];
    let value = |recipe: usize, weights: &[u32]| {
        let sum: f64 = values[recipe].iter().zip(weights).map(|(v, &w)| v * f64::from(w)).sum();
        Some(sum / f64::from(weights.iter().sum::<u32>()))
    };
    let found = selection(3, 3, -1.0, 500, &mut random, value).ok_or("no selection")?;
    assert_eq!(found.best, 1);
    assert!((0.2..0.201).contains(&found.corrected), "{found:?}");
    assert_eq!(selection(1, 3, 1.0, 100, &mut random, value), None);
    assert_eq!(selection(3, 1, 1.0, 100, &mut random, value), None);
    Ok(())
}
