//! Comparisons as CSV: one row per recipe, or the requested rows instead.

use std::path::Path;

use polars::prelude::*;

use super::compared::Shown;
use crate::data::{TableError, frame};
use crate::results::compare::{
    Against, ByParameter, Comparison, Examples, Items, Recipe, Verdict, Vote,
};
use crate::results::results::display_param;
use crate::statistics::Interval;

/// Returns the recipes as CSV. If texts that flip or the values of a parameter were requested,
/// returns these instead.
pub fn csv(comparison: &Comparison, shown: Shown) -> Result<String, TableError> {
    let (height, columns) = match (&comparison.examples, &comparison.by) {
        (Some(examples), _) => examples_columns(examples),
        (None, Some(by)) => by_columns(by),
        (None, None) => recipe_columns(comparison, shown.only_changed),
    };
    let file = Path::new("comparison.csv");
    let mut table = frame::frame(file, height, columns)?;
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes)
        .with_float_precision(shown.precision)
        .finish(&mut table)
        .map_err(|error| frame::unwritable(file, &error))?;
    String::from_utf8(bytes).map_err(|error| frame::damaged(file, error))
}

fn recipe_columns(comparison: &Comparison, only_changed: bool) -> (usize, Vec<Column>) {
    let recipes = &comparison.recipes;
    let texts = |name: &str, of: &dyn Fn(&Recipe) -> Option<String>| {
        Column::new(name.into(), recipes.iter().map(of).collect::<Vec<Option<String>>>())
    };
    let counts = |name: &str, of: &dyn Fn(&Recipe) -> Option<u64>| {
        Column::new(name.into(), recipes.iter().map(of).collect::<Vec<Option<u64>>>())
    };
    let numbers = |name: &str, of: &dyn Fn(&Recipe) -> Option<f64>| {
        Column::new(name.into(), recipes.iter().map(of).collect::<Vec<Option<f64>>>())
    };
    let against = |name: &str, of: fn(&Against) -> Option<f64>| {
        numbers(name, &|recipe| recipe.against.as_ref().and_then(of))
    };
    let items = |name: &str, of: fn(&Items) -> Option<f64>| {
        numbers(name, &|recipe| recipe.against.as_ref().and_then(|a| a.items.as_ref()).and_then(of))
    };
    let low = |interval: Option<Interval>| interval.map(|interval| interval.low);
    let high = |interval: Option<Interval>| interval.map(|interval| interval.high);
    let joined = |values: &[u64]| values.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    let mut columns = vec![
        texts("recipe", &|recipe| Some(recipe.name.clone())),
        texts("pipeline", &|recipe| Some(recipe.pipeline.clone())),
        texts("stage", &|recipe| Some(recipe.stage.clone())),
        counts("trial", &|recipe| recipe.trial),
        texts("runs", &|recipe| Some(recipe.runs.join(" "))),
        texts("split", &|_| Some(comparison.split.clone())),
        counts("texts", &|recipe| Some(recipe.texts)),
        texts("seeds", &|recipe| Some(joined(&recipe.seeds))),
    ];
    let mut names: indexmap::IndexSet<&String> =
        recipes.iter().flat_map(|recipe| recipe.params.keys()).collect();
    names.retain(|name| !only_changed || comparison.changed_params.contains(name));
    for name in names {
        columns.push(texts(&format!("param.{name}"), &|recipe| {
            recipe.params.get(name).map(display_param)
        }));
    }
    columns.extend([
        texts("metric", &|_| Some(comparison.metric.clone())),
        numbers("mean", &|recipe| Some(recipe.summary?.mean)),
        numbers("deviation", &|recipe| recipe.summary?.deviation),
        numbers("mean_low", &|recipe| low(recipe.summary?.interval)),
        numbers("mean_high", &|recipe| high(recipe.summary?.interval)),
    ]);
    for name in &comparison.other_metrics {
        columns.push(numbers(name, &|recipe| Some(recipe.others.get(name)?.mean)));
    }
    let count = |of: fn(&crate::results::compare::Skipped) -> bool| {
        move |recipe: &Recipe| Some(recipe.skipped.iter().filter(|row| of(row)).count() as u64)
    };
    columns.extend([
        against("difference", |a| Some(a.difference)),
        against("difference_low", |a| Some(a.interval?.low)),
        against("difference_high", |a| Some(a.interval?.high)),
        texts("test", &|recipe| serde_name(recipe.against.as_ref()?.test?)),
        against("p", |a| a.p),
        against("p_holm", |a| a.p_holm),
        against("wilcoxon_p", |a| a.wilcoxon_p),
        against("effect_size", |a| a.effect_size),
        counts("seeds_needed", &|recipe| recipe.against.as_ref()?.seeds_needed),
        items("texts_low", |items| Some(items.interval?.low)),
        items("texts_high", |items| Some(items.interval?.high)),
        items("only_baseline_right", |items| Some(items.only_baseline_right as f64)),
        items("only_this_right", |items| Some(items.only_this_right as f64)),
        items("mcnemar_p", |items| Some(items.mcnemar_p)),
        numbers("rank", &|recipe| recipe.rank),
        texts("verdict", &|recipe| verdict_name(recipe)),
        counts("more_seeds", &|recipe| match recipe.against.as_ref()?.verdict {
            Verdict::TooFewSeeds { more } => more,
            _ => None,
        }),
        counts("failed", &count(|row| row.error.is_some())),
        counts("stopped", &count(|row| row.error.is_none() && row.stopped_epoch.is_some())),
        texts("selected", &|recipe| Some(recipe.is_selected.to_string())),
    ]);
    (recipes.len(), columns)
}

/// The name of a value in JSON.
fn serde_name(value: impl serde::Serialize) -> Option<String> {
    Some(serde_json::to_value(value).ok()?.as_str()?.to_owned())
}

fn verdict_name(recipe: &Recipe) -> Option<String> {
    if recipe.is_baseline {
        return Some("baseline".to_owned());
    }
    let verdict = serde_json::to_value(recipe.against.as_ref()?.verdict).ok()?;
    Some(verdict.get("kind")?.as_str()?.to_owned())
}

fn by_columns(by: &ByParameter) -> (usize, Vec<Column>) {
    let groups = &by.groups;
    let numbers = |name: &str, of: fn(&crate::results::compare::Group) -> Option<f64>| {
        Column::new(name.into(), groups.iter().map(of).collect::<Vec<Option<f64>>>())
    };
    let values: Vec<Option<String>> =
        groups.iter().map(|group| group.value.as_ref().map(display_param)).collect();
    let recipes: Vec<u64> = groups.iter().map(|group| group.recipes as u64).collect();
    let best: Vec<&str> = groups.iter().map(|group| group.best.as_str()).collect();
    let columns = vec![
        Column::new(format!("param.{}", by.parameter).into(), values),
        Column::new("recipes".into(), recipes),
        numbers("mean", |group| Some(group.summary.mean)),
        numbers("deviation", |group| group.summary.deviation),
        Column::new("best".into(), best),
        numbers("best_mean", |group| Some(group.best_mean)),
    ];
    (groups.len(), columns)
}

fn examples_columns(examples: &Examples) -> (usize, Vec<Column>) {
    let rows = &examples.examples;
    let votes = |votes: &[Vote]| {
        votes
            .iter()
            .map(|vote| format!("{}:{}", vote.prediction, vote.seeds))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let texts = |name: &str, of: &dyn Fn(&crate::results::compare::Example) -> String| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<String>>())
    };
    let counts = |name: &str, of: fn(&crate::results::compare::Example) -> usize| {
        Column::new(name.into(), rows.iter().map(|row| of(row) as u64).collect::<Vec<u64>>())
    };
    let columns = vec![
        texts("id", &|row| row.id.clone()),
        texts("text", &|row| row.text.clone()),
        texts("label", &|row| row.label.clone()),
        texts("baseline", &|row| votes(&row.baseline)),
        texts("recipe", &|row| votes(&row.recipe)),
        counts("fixed", |row| row.fixed),
        counts("broken", |row| row.broken),
    ];
    (rows.len(), columns)
}
