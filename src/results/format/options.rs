//! The options of a result table.

use crate::data::TableError;
use crate::metrics;
use crate::results::results::ResultTable;
use crate::results::row::ResultRow;

/// The options of a result table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The metrics to show, in this order. Empty: `accuracy` and `macro_f1` for people, all for
    /// programs.
    pub metrics: Vec<String>,
    /// The column to sort by: a metric, a parameter (`param.x` or `x`), `stage`, `trial`, `seed`,
    /// `split`, `n`, `steps` or `seconds`. Metrics are sorted best first, everything else
    /// ascending. In tables for people, whole groups are sorted by their mean over seeds.
    pub sort_by: Option<String>,
    /// The number of groups (for programs: rows) to show from the top.
    pub top: Option<usize>,
    /// Whether tables for people show only the mean of rows that differ only in the seed.
    pub summarise: bool,
    /// The number of decimals. `None`: 4 for people, the shortest exact number for programs.
    pub precision: Option<usize>,
}

/// A missing column, or a table that cannot be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum FormatError {
    #[error("there is no {what} `{name}`")]
    NoColumn {
        what: &'static str,
        name: String,
        #[help]
        hint: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Table(#[from] TableError),
}

/// The sort key of rows.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(in crate::results) enum SortValue {
    /// Negated if larger values are better.
    Number(f64),
    Text(String),
    /// Rows without a value come last.
    Absent,
}

const COLUMNS: [&str; 7] = ["stage", "trial", "seed", "split", "n", "steps", "seconds"];

impl Options {
    /// Returns the metrics to show, or an error if no row has one of them.
    pub(super) fn shown_metrics(
        &self,
        table: &ResultTable,
        default: &[&str],
    ) -> Result<Vec<String>, FormatError> {
        let known = table.metric_names();
        if self.metrics.is_empty() {
            let shown = default.iter().filter(|name| known.contains(**name));
            return Ok(shown.map(|&name| name.to_owned()).collect());
        }
        // A table without rows has no metrics, so every name is accepted.
        if table.rows.is_empty() {
            return Ok(self.metrics.clone());
        }
        for name in &self.metrics {
            if !known.contains(name) {
                return Err(no_column("metric", name, known.iter().map(String::as_str)));
            }
        }
        Ok(self.metrics.clone())
    }

    /// Checks the column to sort by.
    pub(super) fn check_sort(&self, table: &ResultTable) -> Result<(), FormatError> {
        let Some(name) = &self.sort_by else { return Ok(()) };
        let (metrics, params) = (table.metric_names(), table.param_names());
        let param = name.strip_prefix("param.").unwrap_or(name);
        if table.rows.is_empty()
            || COLUMNS.contains(&name.as_str())
            || metrics.contains(name)
            || params.contains(param)
        {
            return Ok(());
        }
        let known = metrics.iter().chain(&params).map(String::as_str).chain(COLUMNS);
        Err(no_column("column to sort by", name, known))
    }
}

/// Returns the sort key of a group of rows: a single row, or the rows of all seeds.
pub(in crate::results) fn sort_value(rows: &[&ResultRow], column: &str) -> SortValue {
    let mean = |values: Vec<f64>| match values.len() {
        0 => SortValue::Absent,
        count => SortValue::Number(values.iter().sum::<f64>() / count as f64),
    };
    let Some(first) = rows.first() else { return SortValue::Absent };
    match column {
        "stage" => SortValue::Text(first.stage.clone()),
        "split" => SortValue::Text(first.split.clone()),
        "trial" => first.trial.map_or(SortValue::Absent, |trial| SortValue::Number(trial as f64)),
        "seed" => SortValue::Number(first.seed as f64),
        "n" => SortValue::Number(first.n as f64),
        "steps" => mean(rows.iter().map(|row| row.steps as f64).collect()),
        "seconds" => mean(rows.iter().map(|row| row.seconds).collect()),
        metric if rows.iter().any(|row| row.metrics.contains_key(metric)) => {
            let sign = if metrics::less_is_better(metric) { 1.0 } else { -1.0 };
            mean(
                rows.iter()
                    .filter_map(|row| row.metrics.get(metric))
                    .map(|value| sign * value)
                    .collect(),
            )
        }
        param => match first.params.get(param.strip_prefix("param.").unwrap_or(param)) {
            Some(value) => match value.as_f64() {
                Some(number) => SortValue::Number(number),
                None => SortValue::Text(crate::results::results::display_param(value)),
            },
            None => SortValue::Absent,
        },
    }
}

impl SortValue {
    /// Orders numbers before texts before gaps; NaN counts as a gap.
    pub(in crate::results) fn order(&self, other: &SortValue) -> std::cmp::Ordering {
        let rank = |value: &SortValue| match value {
            SortValue::Number(number) if !number.is_nan() => 0,
            SortValue::Text(_) => 1,
            _ => 2,
        };
        rank(self)
            .cmp(&rank(other))
            .then_with(|| self.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal))
    }
}

/// Returns an error for a missing column that lists the existing ones.
pub(in crate::results) fn no_column<'a>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> FormatError {
    let known: Vec<&str> = known.collect();
    let near = crate::data::source::nearest(name, known.iter().copied());
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            // Per-class metrics would hide the others.
            let plain: Vec<String> =
                known.iter().filter(|n| !n.contains('/')).map(|n| format!("`{n}`")).collect();
            format!("there are {}", plain.join(", "))
        }
    };
    FormatError::NoColumn { what, name: name.to_owned(), hint }
}
