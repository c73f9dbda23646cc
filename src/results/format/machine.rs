//! Result tables for programs: CSV and JSON.

use serde_json::{Map, Value};

use super::options::{FormatError, Options, sort_value};
use crate::results::columns::{Column, LEADING, TRAILING};
use crate::results::results::ResultTable;
use crate::results::row::ResultRow;

/// Returns the rows as CSV, with the columns of `results.csv` or only the requested metrics.
pub fn csv(table: &ResultTable, options: &Options) -> Result<String, FormatError> {
    Ok(selected(table, options)?.csv(options.precision)?)
}

/// Returns the rows as a JSON array of objects: the fields of a row, with `params` and `metrics` as
/// nested objects.
pub fn json(table: &ResultTable, options: &Options) -> Result<String, FormatError> {
    let rows: Vec<Value> =
        selected(table, options)?.rows.iter().map(|row| record(row, options)).collect();
    Ok(format!("{:#}\n", Value::from(rows)))
}

fn record(row: &ResultRow, options: &Options) -> Value {
    let number = |value: f64| match options.precision {
        Some(precision) => format!("{value:.precision$}").parse().unwrap_or(value),
        None => value,
    };
    let metrics: Map<String, Value> = row
        .metrics
        .iter()
        .map(|(name, &value)| (name.clone(), Value::from(number(value))))
        .collect();
    let params: Map<String, Value> = row.params.clone().into_iter().collect();
    let fields = |columns: &[Column]| -> Vec<(String, Value)> {
        columns.iter().map(|it| (it.name.to_owned(), it.json(row, number))).collect()
    };
    let mut record = Map::from_iter(fields(LEADING));
    record.insert("params".to_owned(), params.into());
    record.insert("metrics".to_owned(), metrics.into());
    record.extend(fields(TRAILING));
    record.into()
}

/// Returns the rows and metrics that the options select, in the requested order.
fn selected(table: &ResultTable, options: &Options) -> Result<ResultTable, FormatError> {
    options.check_sort(table)?;
    let known = table.metric_names();
    let all: Vec<&str> = known.iter().map(String::as_str).collect();
    let metrics = options.shown_metrics(table, &all)?;
    let mut rows = table.rows.clone();
    if let Some(column) = &options.sort_by {
        rows.sort_by(|a, b| sort_value(&[a], column).order(&sort_value(&[b], column)));
    }
    rows.truncate(options.top.unwrap_or(usize::MAX));
    for row in &mut rows {
        row.metrics = metrics
            .iter()
            .filter_map(|name| Some((name.clone(), *row.metrics.get(name)?)))
            .collect();
    }
    Ok(ResultTable { rows })
}
