//! Result tables for programs: CSV and JSON.

use serde_json::{Map, Value, json as object};

use super::options::{FormatError, Options, sort_value};
use crate::results::results::{ResultRow, ResultTable};

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
    let augmentation = row.augmentation;
    object!({
        "run": row.run,
        "pipeline": row.pipeline,
        "stage": row.stage,
        "trial": row.trial,
        "seed": row.seed,
        "split": row.split,
        "n": row.n,
        "params": params,
        "metrics": metrics,
        "steps": row.steps,
        "seconds": number(row.seconds),
        "generated": augmentation.map(|summary| summary.generated),
        "accepted_share": augmentation.and_then(|summary| summary.accepted_share).map(number),
        "augmentation_loss": augmentation.and_then(|summary| summary.augmentation_loss).map(number),
        "copy_rate": augmentation.and_then(|summary| summary.copy_rate).map(number),
        "backend": row.backend,
        "backend_reason": row.backend_reason,
        "device": row.device,
        "parts": row.parts,
        "stopped_epoch": row.stopped_epoch,
        "error": row.error,
    })
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
