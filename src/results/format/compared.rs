//! Comparisons as text: for the terminal, Markdown and JSON.

use super::grid::Grid;
use super::people::{layout, markdown_of, wrapped};
use crate::base::cut::{self, line, visible_line};
use crate::results::compare::notes::probability;
use crate::results::compare::{Against, ByParameter, Comparison, Examples, Recipe, Verdict, Vote};
use crate::results::results::display_param;
use crate::statistics::{Interval, Summary};

/// The display settings of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The number of decimals. `None`: 4 for people, exact for programs.
    pub precision: Option<usize>,
    /// Whether the parameters that differ have their own columns (for programs: whether the others
    /// are left out).
    pub only_changed: bool,
}

/// Returns the comparison for a terminal of `width` columns, or as wide as it needs to be.
pub fn terminal(comparison: &Comparison, shown: Shown, width: Option<u16>) -> String {
    let mut text = String::new();
    for (title, grid) in grids(comparison, shown) {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(title) = title {
            text.push_str(&format!("{}\n", visible_line(&title)));
        }
        text.push_str(&layout(&grid, width));
    }
    let notes = comparison.notes.iter().map(|note| wrapped("-", note, width));
    notes.for_each(|note| text.push_str(&note));
    text
}

/// Returns the comparison as Markdown.
pub fn markdown(comparison: &Comparison, shown: Shown) -> String {
    let mut text = String::new();
    for (title, grid) in grids(comparison, shown) {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(title) = title {
            text.push_str(&format!("{}\n\n", visible_line(&title)));
        }
        text.push_str(&markdown_of(&grid));
    }
    if !comparison.notes.is_empty() {
        text.push('\n');
    }
    for note in &comparison.notes {
        text.push_str(&format!("- {}\n", visible_line(note)));
    }
    text
}

/// Returns the comparison as JSON: the fields of [`Comparison`].
pub fn json(comparison: &Comparison, shown: Shown) -> Result<String, serde_json::Error> {
    let mut comparison = comparison.clone();
    if shown.only_changed {
        let changed = &comparison.changed_params;
        comparison
            .recipes
            .iter_mut()
            .for_each(|recipe| recipe.params.retain(|name, _| changed.contains(name)));
    }
    let mut value = serde_json::to_value(&comparison)?;
    if let Some(precision) = shown.precision {
        round(&mut value, precision);
    }
    Ok(format!("{value:#}\n"))
}

fn round(value: &mut serde_json::Value, precision: usize) {
    match value {
        serde_json::Value::Number(number) if number.is_f64() => {
            let rounded = number
                .as_f64()
                .and_then(|number| format!("{number:.precision$}").parse::<f64>().ok());
            if let Some(rounded) = rounded {
                *value = serde_json::Value::from(rounded);
            }
        }
        serde_json::Value::Array(values) => {
            values.iter_mut().for_each(|value| round(value, precision))
        }
        serde_json::Value::Object(fields) => {
            // The user's parameters are not rounded.
            let figures = fields.iter_mut().filter(|(name, _)| *name != "params");
            figures.for_each(|(_, value)| round(value, precision));
        }
        _ => {}
    }
}

/// Returns a verdict in words.
pub fn verdict(recipe: &Recipe) -> String {
    if recipe.is_baseline {
        return "baseline".to_owned();
    }
    match recipe.against.as_ref().map(|against| against.verdict) {
        Some(Verdict::Better) => "better".to_owned(),
        Some(Verdict::Worse) => "worse".to_owned(),
        Some(Verdict::NoDifference) => "no difference shown".to_owned(),
        Some(Verdict::TooFewTexts) => "not enough texts to tell".to_owned(),
        Some(Verdict::TooFewSeeds { .. }) => "not enough seeds to tell".to_owned(),
        None if recipe.skipped.iter().any(|row| row.error.is_some()) => "failed".to_owned(),
        None if recipe.skipped.iter().any(|row| row.stopped_epoch.is_some()) => {
            "stopped early".to_owned()
        }
        None => String::new(),
    }
}

fn grids(comparison: &Comparison, shown: Shown) -> Vec<(Option<String>, Grid)> {
    let precision = shown.precision.unwrap_or(4);
    let mut grids = vec![(None, recipes(comparison, precision, shown.only_changed))];
    if let Some(by) = &comparison.by {
        grids.push((
            Some(format!("by {}", by.parameter)),
            by_grid(by, &comparison.metric, precision),
        ));
    }
    if let Some(examples) = &comparison.examples {
        let (listed, flipped) = (examples.examples.len(), examples.flipped);
        let title = format!(
            "texts that flip ({listed} of {flipped}; number of seeds, of {2}, at which only `{0}` \
             is right, and only `{1}`)",
            examples.recipe, examples.baseline, examples.seeds
        );
        grids.push((Some(title), examples_grid(examples)));
    }
    grids
}

/// A column of the table of recipes.
struct ColumnOf<'a> {
    header: String,
    numeric: bool,
    /// Its place in the order in which columns are dropped on a narrow terminal; `None` if it
    /// stays.
    spare: Option<usize>,
    cell: Box<dyn Fn(&Recipe) -> String + 'a>,
}

fn recipes(comparison: &Comparison, precision: usize, only_changed: bool) -> Grid {
    let against = |of: fn(&Against) -> Option<f64>, write: &'static dyn Fn(f64) -> String| {
        move |recipe: &Recipe| recipe.against.as_ref().and_then(of).map(write).unwrap_or_default()
    };
    let number = move |value: f64| format!("{value:.precision$}");
    let interval =
        move |interval: Interval| format!("[{}, {}]", number(interval.low), number(interval.high));
    let summary = move |summary: &Summary| match summary.deviation {
        Some(deviation) => format!("{} ± {}", number(summary.mean), number(deviation)),
        None => number(summary.mean),
    };
    let column = |header: &str,
                  numeric: bool,
                  spare: Option<usize>,
                  cell: Box<dyn Fn(&Recipe) -> String>| {
        ColumnOf { header: header.to_owned(), numeric, spare, cell }
    };
    let several = comparison.recipes.iter().any(|recipe| recipe.values.len() > 1);
    let title = |metric: &str| {
        if several { format!("{metric} (mean ± sd, n−1)") } else { metric.to_owned() }
    };
    let trials = comparison.selected.as_ref().map_or(0, |selected| selected.trials);
    let mut columns =
        vec![column("recipe", false, None, Box::new(move |recipe| name(recipe, trials)))];
    if only_changed {
        for name in comparison.changed_params.clone() {
            let header = name.clone();
            let cell = move |recipe: &Recipe| {
                recipe.params.get(&name).map(display_param).unwrap_or_default()
            };
            columns.push(column(&header, true, None, Box::new(cell)));
        }
    }
    columns.push(column(
        "seeds",
        true,
        Some(6),
        Box::new(|recipe| recipe.values.len().to_string()),
    ));
    let main = move |recipe: &Recipe| recipe.summary.as_ref().map(summary).unwrap_or_default();
    columns.push(column(&title(&comparison.metric), true, None, Box::new(main)));
    let own = move |recipe: &Recipe| {
        recipe.summary.and_then(|summary| summary.interval).map(interval).unwrap_or_default()
    };
    columns.push(column("95 % interval", true, Some(3), Box::new(own)));
    for name in comparison.other_metrics.clone() {
        let header = title(&name);
        let cell = move |recipe: &Recipe| recipe.others.get(&name).map(summary).unwrap_or_default();
        columns.push(column(&header, true, None, Box::new(cell)));
    }
    let difference = move |recipe: &Recipe| {
        recipe
            .against
            .as_ref()
            .map(|a| format!("{:+.precision$}", a.difference))
            .unwrap_or_default()
    };
    columns.push(column("difference", true, None, Box::new(difference)));
    let its = move |recipe: &Recipe| {
        recipe.against.as_ref().and_then(|a| a.interval).map(interval).unwrap_or_default()
    };
    columns.push(column("its 95 % interval", true, Some(7), Box::new(its)));
    columns.push(column("p", true, None, Box::new(against(|a| a.p_holm, &probability))));
    columns.push(column(
        "d",
        true,
        Some(5),
        Box::new(against(|a| a.effect_size, &|d| format!("{d:+.2}"))),
    ));
    columns.push(column(
        "Wilcoxon p",
        true,
        Some(1),
        Box::new(against(|a| a.wilcoxon_p, &probability)),
    ));
    let texts = move |recipe: &Recipe| {
        let items = recipe.against.as_ref().and_then(|against| against.items);
        items.and_then(|items| items.interval).map(interval).unwrap_or_default()
    };
    columns.push(column("95 % over texts", true, Some(4), Box::new(texts)));
    let mcnemar = against(|a| a.items.map(|items| items.mcnemar_p), &probability);
    columns.push(column("McNemar p", true, Some(2), Box::new(mcnemar)));
    let rank = |recipe: &Recipe| recipe.rank.map(|rank| format!("{rank:.2}")).unwrap_or_default();
    columns.push(column("rank", true, Some(0), Box::new(rank)));
    let more = |recipe: &Recipe| match recipe.against.as_ref().map(|against| against.verdict) {
        Some(Verdict::TooFewSeeds { more: Some(more) }) => more.to_string(),
        _ => String::new(),
    };
    columns.push(column("more seeds", true, Some(8), Box::new(more)));
    columns.push(column("verdict", false, None, Box::new(verdict)));
    grid(columns, &comparison.recipes)
}

/// Builds the grid, without empty columns.
fn grid(columns: Vec<ColumnOf<'_>>, recipes: &[Recipe]) -> Grid {
    let mut kept: Vec<(ColumnOf<'_>, Vec<String>)> = columns
        .into_iter()
        .map(|column| {
            let cells = recipes.iter().map(|recipe| (column.cell)(recipe)).collect();
            (column, cells)
        })
        .collect();
    kept.retain(|(column, cells)| {
        column.spare.is_none() || cells.iter().any(|cell| !cell.is_empty())
    });
    let mut spare: Vec<(usize, usize)> = kept
        .iter()
        .enumerate()
        .filter_map(|(place, (column, _))| Some((column.spare?, place)))
        .collect();
    spare.sort_unstable();
    Grid {
        headers: kept.iter().map(|(column, _)| column.header.clone()).collect(),
        numeric: kept.iter().map(|(column, _)| column.numeric).collect(),
        spare: spare.into_iter().map(|(_, place)| place).collect(),
        rows: (0..recipes.len())
            .map(|row| kept.iter().map(|(_, cells)| cells[row].clone()).collect())
            .collect(),
    }
}

fn name(recipe: &Recipe, trials: usize) -> String {
    let count = |of: fn(&crate::results::compare::Skipped) -> bool| {
        recipe.skipped.iter().filter(|row| of(row)).count()
    };
    let mut marks = Vec::new();
    if recipe.is_selected {
        marks.push(format!("best of {trials}"));
    }
    if !recipe.values.is_empty() {
        let failed = count(|row| row.error.is_some());
        let stopped = count(|row| row.error.is_none() && row.stopped_epoch.is_some());
        marks.extend((failed > 0).then(|| format!("{failed} failed")));
        marks.extend((stopped > 0).then(|| format!("{stopped} stopped")));
    }
    if marks.is_empty() {
        recipe.name.clone()
    } else {
        format!("{} [{}]", recipe.name, marks.join(", "))
    }
}

fn by_grid(by: &ByParameter, metric: &str, precision: usize) -> Grid {
    let rows = by.groups.iter().map(|group| {
        let mean = match group.summary.deviation {
            Some(deviation) => {
                format!("{:.precision$} ± {deviation:.precision$}", group.summary.mean)
            }
            None => format!("{:.precision$}", group.summary.mean),
        };
        vec![
            group.value.as_ref().map(display_param).unwrap_or_default(),
            group.recipes.to_string(),
            mean,
            group.best.clone(),
            format!("{:.precision$}", group.best_mean),
        ]
    });
    Grid {
        headers: vec![
            by.parameter.clone(),
            "recipes".to_owned(),
            format!("{metric} (mean ± sd over recipes)"),
            "best recipe".to_owned(),
            "its mean".to_owned(),
        ],
        numeric: vec![true, true, true, false, true],
        spare: vec![1],
        rows: rows.collect(),
    }
}

fn examples_grid(examples: &Examples) -> Grid {
    let votes = |votes: &[Vote]| -> String {
        let all = votes.len() == 1;
        let vote = |vote: &Vote| {
            let prediction = line(&vote.prediction, cut::MOST);
            if all { prediction } else { format!("{prediction} {}×", vote.seeds) }
        };
        votes.iter().map(vote).collect::<Vec<_>>().join(", ")
    };
    let rows = examples.examples.iter().map(|example| {
        vec![
            line(&example.text, cut::MOST),
            line(&example.label, cut::MOST),
            votes(&example.baseline),
            votes(&example.recipe),
            format!("+{} −{}", example.fixed, example.broken),
        ]
    });
    Grid {
        headers: vec![
            "text".to_owned(),
            "label".to_owned(),
            examples.baseline.clone(),
            examples.recipe.clone(),
            "flips".to_owned(),
        ],
        numeric: vec![false, false, false, false, true],
        spare: Vec::new(),
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::compare::Example;

    #[test]
    fn a_long_text_is_cut_in_the_table() {
        let vote = |prediction: &str| vec![Vote { prediction: prediction.into(), seeds: 2 }];
        let example = Example {
            id: "row-1".into(),
            text: "lost\u{1b}[31m card ".repeat(100_000),
            label: "card".into(),
            baseline: vote("other"),
            recipe: vote(&"card".repeat(1000)),
            fixed: 2,
            broken: 0,
        };
        let examples = Examples {
            baseline: "plain".into(),
            recipe: "more".into(),
            seeds: 2,
            flipped: 1,
            examples: vec![example],
        };
        let grid = examples_grid(&examples);
        let widths: Vec<usize> = grid.rows[0].iter().map(|cell| cell.chars().count()).collect();
        assert!((cut::MOST - 1..=cut::MOST).contains(&widths[0]), "{widths:?}");
        assert_eq!(widths[1..], [4, 5, cut::MOST, 5]);
        assert!(grid.rows[0][0].starts_with("lost\\u{1b}[31m card lost"), "{:?}", grid.rows[0][0]);
        assert!(grid.rows[0][0].ends_with('…') && !layout(&grid, None).contains('\u{1b}'));
    }
}
