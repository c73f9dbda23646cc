//! The table for people before its layout.

use indexmap::IndexMap;

use super::options::{FormatError, Options, sort_value};
use crate::base::cut::visible_line;
use crate::metrics;
use crate::results::columns::{self, Column};
use crate::results::results::{ResultTable, display_param};
use crate::results::row::ResultRow;
use crate::statistics::mean_and_deviation;

/// The figures about generated texts that are shown beside the metrics.
const SHOWN_OF_AUGMENTATION: [&str; 2] = ["accepted_share", "augmentation_loss"];

/// What a training has cost.
struct Cost {
    name: &'static str,
    of: fn(&ResultRow) -> Option<f64>,
    shown: fn(f64) -> String,
}

/// The costs that are shown after the metrics, each where a row has it.
const COSTS: [Cost; 4] = [
    Cost { name: "steps", of: |row| Some(row.steps as f64), shown: whole },
    Cost { name: "encodings", of: |row| row.encodings.map(|count| count as f64), shown: whole },
    Cost { name: "seconds", of: |row| Some(row.seconds), shown: seconds },
    Cost { name: "memory", of: |row| row.peak_memory.map(|bytes| bytes as f64), shown: megabytes },
];

/// Cells as text, with a summary row under each group of several seeds.
pub(super) struct Grid {
    pub headers: Vec<String>,
    /// Whether a column holds numbers and is aligned to the right.
    pub numeric: Vec<bool>,
    /// The columns that can be dropped on a narrow terminal, in this order.
    pub spare: Vec<usize>,
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// Returns the same grid with cells as a terminal may get them, each on one line.
    pub(super) fn visible(&self) -> Grid {
        let line = |cells: &Vec<String>| -> Vec<String> {
            cells.iter().map(|cell| visible_line(cell).into_owned()).collect()
        };
        Grid {
            headers: line(&self.headers),
            numeric: self.numeric.clone(),
            spare: self.spare.clone(),
            rows: self.rows.iter().map(line).collect(),
        }
    }
}

/// The rows that differ only in the seed, with their summaries.
struct Group<'a> {
    rows: Vec<&'a ResultRow>,
}

/// Returns the main metrics in the order of the columns, which is not that of preference.
fn main_columns() -> Vec<&'static str> {
    let is_main = |name: &&str| metrics::MAIN.iter().any(|metric| metric.name == *name);
    metrics::names().filter(is_main).collect()
}

/// Returns the table for people: groups of rows that differ only in the seed, sorted and cut as
/// requested.
pub(super) fn grid(table: &ResultTable, options: &Options) -> Result<Grid, FormatError> {
    options.check_sort(table)?;
    let metrics = options.shown_metrics(table, &main_columns())?;
    let mut groups = groups(table);
    if let Some(column) = &options.sort_by {
        groups.sort_by(|a, b| sort_value(&a.rows, column).order(&sort_value(&b.rows, column)));
    }
    groups.truncate(options.top.unwrap_or(usize::MAX));

    let differs = |of: &dyn Fn(&ResultRow) -> Option<String>| {
        table.rows.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]))
    };
    let with_run = differs(&|row| Some(row.run.clone()));
    let with_trial = table.rows.iter().any(|row| row.trial.is_some());
    let params: Vec<String> = table
        .param_names()
        .into_iter()
        .filter(|name| differs(&|row| row.params.get(name).map(ToString::to_string)))
        .collect();
    let augmentation: Vec<&Column> = SHOWN_OF_AUGMENTATION
        .iter()
        .filter_map(|name| columns::find(name))
        .filter(|column| table.rows.iter().any(|row| column.number(row).is_some()))
        .collect();
    let summarised = groups.iter().any(|group| group.rows.len() > 1);

    let mut headers = Vec::new();
    let mut numeric = Vec::new();
    let mut column = |name: &str, is_numeric: bool| {
        headers.push(name.to_owned());
        numeric.push(is_numeric);
    };
    if with_run {
        column("run", false);
    }
    column("stage", false);
    if with_trial {
        column("trial", true);
    }
    params.iter().for_each(|name| column(name, true));
    column(if summarised { "seed (mean ± sd, n−1)" } else { "seed" }, true);
    column("split", false);
    column("n", true);
    metrics.iter().for_each(|name| column(name, true));
    augmentation.iter().for_each(|figure| column(figure.name, true));
    let costs: Vec<&Cost> =
        COSTS.iter().filter(|cost| table.rows.iter().any(|row| (cost.of)(row).is_some())).collect();
    costs.iter().for_each(|cost| column(cost.name, true));

    let spare = [
        "memory",
        "seconds",
        "steps",
        "encodings",
        "n",
        "split",
        "accepted_share",
        "augmentation_loss",
    ];
    let spare =
        spare.iter().filter_map(|name| headers.iter().rposition(|header| header == name)).collect();

    let precision = options.precision.unwrap_or(4);
    let mut rows = Vec::new();
    for group in &groups {
        let Some(first) = group.rows.first() else { continue };
        let about_made = |rows: &[&ResultRow]| -> Vec<String> {
            let figure = |column: &&Column| {
                let values: Vec<f64> = rows.iter().filter_map(|row| column.number(row)).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                // A mean over some of the seeds would not match the row.
                if values.len() == rows.len() { format!("{mean:.2}") } else { String::new() }
            };
            augmentation.iter().map(figure).collect()
        };
        let about_costs = |rows: &[&ResultRow]| -> Vec<String> {
            let figure = |cost: &&Cost| {
                let values: Vec<f64> = rows.iter().filter_map(|row| (cost.of)(row)).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                if values.len() == rows.len() { (cost.shown)(mean) } else { String::new() }
            };
            costs.iter().map(figure).collect()
        };
        let cells = |seed: String, metric: &dyn Fn(&str) -> String, rows: &[&ResultRow]| {
            let mut cells = Vec::new();
            if with_run {
                cells.push(first.run.clone());
            }
            cells.push(first.stage.clone());
            if with_trial {
                cells.push(first.trial.map(|trial| trial.to_string()).unwrap_or_default());
            }
            cells.extend(
                params.iter().map(|p| first.params.get(p).map(display_param).unwrap_or_default()),
            );
            cells.extend([seed, first.split.clone(), first.n.to_string()]);
            cells.extend(metrics.iter().map(|name| metric(name)));
            cells.extend(about_made(rows));
            cells.extend(about_costs(rows));
            cells
        };
        let shows_each = !options.summarise || group.rows.len() == 1;
        for row in group.rows.iter().filter(|_| shows_each) {
            let metric = |name: &str| match row.metrics.get(name) {
                Some(value) => format!("{value:.precision$}"),
                None => String::new(),
            };
            rows.push(cells(row.seed.to_string(), &metric, &[row]));
        }
        if group.rows.len() > 1 {
            let metric = |name: &str| {
                let values: Vec<f64> =
                    group.rows.iter().filter_map(|row| row.metrics.get(name).copied()).collect();
                match mean_and_deviation(&values) {
                    // A metric that some seeds lack has no mean over the seeds of the row.
                    Some((mean, deviation)) if values.len() == group.rows.len() => {
                        format!("{mean:.precision$} ± {deviation:.precision$}")
                    }
                    _ => String::new(),
                }
            };
            let title = format!("mean ± sd ({} seeds)", group.rows.len());
            rows.push(cells(title, &metric, &group.rows));
        }
    }
    Ok(Grid { headers, numeric, spare, rows })
}

fn groups(table: &ResultTable) -> Vec<Group<'_>> {
    let mut groups: IndexMap<String, Group<'_>> = IndexMap::new();
    for row in &table.rows {
        let params: Vec<(&String, String)> =
            row.params.iter().map(|(k, v)| (k, v.to_string())).collect();
        let key =
            format!("{:?}", (&row.run, &row.pipeline, &row.stage, row.trial, &row.split, params));
        groups.entry(key).or_insert_with(|| Group { rows: Vec::new() }).rows.push(row);
    }
    let mut groups: Vec<Group<'_>> = groups.into_values().collect();
    for group in &mut groups {
        group.rows.sort_by_key(|row| row.seed);
    }
    groups
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn seconds(value: f64) -> String {
    if value < 0.1 { format!("{value:.3}") } else { format!("{value:.1}") }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1e6)
}
