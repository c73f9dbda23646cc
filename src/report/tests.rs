//! Every chart and the page are checked with no, one, many and odd values, and with texts that look
//! like markup.

use serde_json::{Value, json};

use super::chart::{confusion, critical_difference, curves, intervals, parallel, scatter};
use super::content::content::Content;
use super::content::tally::Tally;
use super::content::training::Training;
use super::content::trial::{Trial, Trials};
use super::page::page;
use super::per_class;
use crate::data::curves::CurvePoint;
use crate::results::compare::{Against, Comparison, Ranks, Recipe, TestRows, Verdict};
use crate::statistics::{Interval, Summary};

/// A name that users may give to things.
const NASTY: &str = "<script>alert(\"1\")</script>&amp;'";

/// Elements without a closing tag.
const VOID: [&str; 3] = ["wbr", "meta", "link"];

/// Checks that tags are closed in order, attributes are quoted, and special characters are escaped.
/// Numbers must be finite.
fn check(markup: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = markup;
    while let Some(start) = rest.find('<') {
        entities(&rest[..start])?;
        rest = &rest[start + 1..];
        let end = rest.find('>').ok_or("a tag has no end")?;
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("`{name}` closes {last:?}"));
            }
            continue;
        }
        let name = tag.split(' ').next().unwrap_or_default();
        attributes(tag[name.len()..].trim())?;
        if matches!(name, "style" | "script") {
            let close = format!("</{name}>");
            let end = rest.find(&close).ok_or("a block has no end")?;
            rest = &rest[end + close.len()..];
        } else if !VOID.contains(&name) {
            open.push(name);
        }
    }
    entities(rest)?;
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open")) }
}

fn attributes(mut text: &str) -> Result<(), String> {
    while !text.is_empty() {
        let word = text.split(' ').next().unwrap_or_default();
        if !word.contains('=') && word.chars().all(|c| c.is_ascii_lowercase()) {
            text = text[word.len()..].trim_start();
            continue;
        }
        let (name, after) =
            text.split_once("=\"").ok_or_else(|| format!("no value in `{text}`"))?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("`{name}` has no end"))?;
        entities(value)?;
        let is_place = matches!(
            name,
            "x" | "y" | "x1" | "x2" | "y1" | "y2" | "cx" | "cy" | "r" | "d" | "viewBox" | "height"
        );
        if is_place && (value.contains("NaN") || value.contains("inf")) {
            return Err(format!("`{name}` is `{value}`"));
        }
        text = after.trim_start();
    }
    Ok(())
}

fn entities(text: &str) -> Result<(), String> {
    for part in text.split('&').skip(1) {
        if !["amp;", "lt;", "gt;", "quot;"].iter().any(|name| part.starts_with(name)) {
            return Err(format!("`&{part}` is no entity"));
        }
    }
    if text.contains('"') && text.contains('=') {
        Err(format!("a quote in `{text}`"))
    } else {
        Ok(())
    }
}

fn recipe(index: usize, values: &[f64]) -> Recipe {
    Recipe {
        name: format!("{NASTY} {index}"),
        pipeline: "p".into(),
        stage: "score".into(),
        trial: (index % 2 == 1).then_some(index as u64),
        runs: Vec::new(),
        params: [("rate".to_owned(), json!(1e-5)), (NASTY.to_owned(), json!(NASTY))].into(),
        texts: 30,
        seeds: (0..values.len() as u64).collect(),
        values: values.to_vec(),
        summary: Summary::of(values, (0.0, 1.0)),
        others: Default::default(),
        cost: Default::default(),
        skipped: Vec::new(),
        is_baseline: index == 0,
        is_selected: index == 1,
        rank: Some(1.0 + index as f64),
        against: (index > 0).then(|| Against {
            seeds: Vec::new(),
            difference: values.first().copied().unwrap_or(f64::NAN),
            interval: Some(Interval { low: -0.1, high: f64::NAN }),
            test: None,
            p: Some(0.01),
            p_holm: Some(0.04),
            wilcoxon_p: None,
            wilcoxon_least: None,
            effect_size: None,
            seeds_needed: None,
            items: None,
            verdict: if index % 3 == 1 {
                Verdict::Better
            } else {
                Verdict::TooFewSeeds { more: Some(3) }
            },
        }),
    }
}

fn recipes(count: usize) -> Vec<Recipe> {
    let odd = [0.5, f64::NAN, f64::INFINITY];
    (0..count)
        .map(|index| if index % 5 == 4 { recipe(index, &odd) } else { recipe(index, &[0.5, 0.75]) })
        .collect()
}

fn trainings(count: usize) -> Vec<Training> {
    let point = |step: u64| CurvePoint {
        step,
        epoch: step as u32,
        loss: if step % 7 == 3 { f64::NAN } else { 1.0 / step as f64 },
        dev: [("loss", 0.5), ("accuracy", f64::NAN)]
            .into_iter()
            .filter(|_| step.is_multiple_of(5))
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        ..CurvePoint::default()
    };
    let seeds =
        |slot: usize| (0..=slot as u64).map(|seed| (seed, (1..=10).map(point).collect())).collect();
    (0..count)
        .map(|slot| Training {
            name: NASTY.into(),
            slot,
            method: String::new(),
            seeds: seeds(slot),
        })
        .collect()
}

fn trials(count: usize) -> Trials {
    let trial = |index: usize| Trial {
        name: format!("{NASTY} {index}"),
        params: [
            (
                "rate".to_owned(),
                if index % 50 == 49 { Value::Null } else { json!(10f64.powi(-(index as i32 % 6))) },
            ),
            (NASTY.to_owned(), json!(["a", NASTY, "c"][index % 3])),
        ]
        .into(),
        value: [Some(index as f64), None, Some(f64::NAN), Some(0.5)][index % 4],
        was_stopped: index % 4 == 3,
    };
    Trials {
        metric: NASTY.into(),
        less_is_better: false,
        params: vec!["rate".into(), NASTY.into(), "absent".into()],
        all: (0..count).map(trial).collect(),
    }
}

fn tally(classes: usize) -> Tally {
    Tally {
        name: NASTY.into(),
        labels: (0..classes).map(|class| format!("{NASTY} {class}")).collect(),
        counts: (0..classes)
            .map(|row| (0..classes).map(|column| (row * column % 3) as u64).collect())
            .collect(),
        seeds: 2,
    }
}

fn content(count: usize) -> Content {
    Content {
        runs: Vec::new(),
        comparison: Comparison {
            metric: "macro_f1".into(),
            other_metrics: vec!["accuracy".into()],
            less_is_better: false,
            split: NASTY.into(),
            baseline: (count > 0).then(|| NASTY.to_owned()),
            runs: Vec::new(),
            test_rows: TestRows { count: Some(30), digest: None, same: true },
            changed_params: vec!["rate".into(), NASTY.into()],
            recipes: recipes(count),
            compared: count,
            ranks: Some(Ranks {
                recipes: count,
                seeds: 5,
                statistic: 3.0,
                p: 0.2,
                critical_difference: 1.5,
            }),
            selected: None,
            by: None,
            examples: None,
            notes: vec![format!("`{NASTY}` is odd")],
        },
        trainings: trainings(count),
        trials: (count > 1).then(|| trials(count)),
        tallies: (0..count.min(3)).map(|_| tally(count)).collect(),
        errors: vec![(NASTY.into(), NASTY.into())],
        gaps: vec![NASTY.into()],
    }
}

#[test]
fn every_chart_is_sound_for_any_values() -> Result<(), String> {
    for count in [0, 1, 2, 9, 60, 700] {
        let ranked: Vec<(String, f64)> = (0..count)
            .map(|index| {
                (
                    format!("{NASTY} {index}"),
                    if index == 3 { f64::NAN } else { 1.0 + index as f64 / 2.0 },
                )
            })
            .collect();
        let ranked: Vec<(&str, f64)> =
            ranked.iter().map(|(name, rank)| (name.as_str(), *rank)).collect();
        let charts = [
            ("intervals", intervals::intervals(&recipes(count), NASTY)),
            ("curves", curves::curves(&trainings(count.min(60)))),
            ("scatter", scatter::scatter(&trials(count))),
            ("parallel", parallel::parallel(&trials(count))),
            ("ranks", critical_difference::critical_difference(&ranked, count, 5, 1.5)),
            ("confusion", confusion::confusion(&tally(count.min(60)))),
            ("per class", per_class::per_class(&tally(count.min(60)))),
            ("overview", per_class::overview(&[tally(count.min(60)), tally(count.min(60))])),
        ];
        for (name, chart) in charts {
            let chart = chart.into_string();
            check(&chart).map_err(|error| format!("{name} of {count}: {error}"))?;
            assert!(!chart.contains("<script"), "{name}");
        }
    }
    Ok(())
}

#[test]
fn what_is_drawn_of_many_stays_small() {
    let trials = trials(8000);
    for (chart, most) in
        [(parallel::parallel(&trials), 400_000), (scatter::scatter(&trials), 900_000)]
    {
        let text = chart.into_string();
        assert!(text.len() < most, "{}", text.len());
        assert!(text.contains(" trials are drawn"));
    }
    assert!(confusion::confusion(&tally(300)).into_string().contains("instead of a matrix"));
}

#[test]
fn the_page_is_one_file_that_asks_for_nothing() -> Result<(), String> {
    for count in [0, 1, 2, 9, 60] {
        let page = page(&content(count));
        check(&page).map_err(|error| format!("page of {count}: {error}"))?;
        assert_eq!(page.matches("<script").count(), 1, "{count}");
        for foreign in ["http:", "https:", "src=", "url(", "@import"] {
            assert!(!page.contains(foreign), "`{foreign}` in the page of {count}");
        }
    }
    Ok(())
}

#[test]
fn breaches_are_found() {
    assert!(check("<b>x</b><wbr><a title=\"&lt;\" open>y</a>").is_ok());
    for bad in ["<b>x</i>", "<b>", "a & b", "<a x=1></a>", "<circle r=\"NaN\"></circle>"] {
        assert!(check(bad).is_err(), "{bad}");
    }
}
