//! The columns of a result table besides parameters and metrics. A new one is a line here: the
//! files, CSV, JSON and their order follow.

use polars::prelude::{Column as Series, DataFrame};
use serde_json::Value;

use super::row::ResultRow;
use crate::data::TableError;
use crate::data::frame::Columns;

/// A column: its name, and how its value is read from a row and put into one.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) cell: Cell,
    /// Whether every row has a value. A gap in such a column of counts or numbers is an error; in a
    /// column of text it is the empty text.
    pub(super) is_full: bool,
    /// Whether tables of older versions lack the column.
    may_be_absent: bool,
}

/// The type of a column with its two directions.
pub(super) enum Cell {
    Text(fn(&ResultRow) -> Option<&str>, fn(&mut ResultRow, String)),
    Count(fn(&ResultRow) -> Option<u64>, fn(&mut ResultRow, u64)),
    Number(fn(&ResultRow) -> Option<f64>, fn(&mut ResultRow, f64)),
}

impl Column {
    const fn full(name: &'static str, cell: Cell) -> Column {
        Column { name, cell, is_full: true, may_be_absent: false }
    }

    const fn with_gaps(name: &'static str, cell: Cell) -> Column {
        Column { name, cell, is_full: false, may_be_absent: false }
    }

    /// Accepts tables without the column.
    const fn newer(self) -> Column {
        Column { may_be_absent: true, ..self }
    }

    /// Returns the values of all rows.
    pub(super) fn series(&self, rows: &[ResultRow]) -> Series {
        let name = self.name.into();
        match (&self.cell, self.is_full) {
            (Cell::Text(get, _), true) => {
                Series::new(name, rows.iter().map(|r| get(r).unwrap_or("")).collect::<Vec<_>>())
            }
            (Cell::Text(get, _), false) => {
                Series::new(name, rows.iter().map(get).collect::<Vec<Option<&str>>>())
            }
            (Cell::Count(get, _), true) => {
                Series::new(name, rows.iter().map(|r| get(r).unwrap_or(0)).collect::<Vec<u64>>())
            }
            (Cell::Count(get, _), false) => {
                Series::new(name, rows.iter().map(get).collect::<Vec<Option<u64>>>())
            }
            (Cell::Number(get, _), true) => {
                let full = rows.iter().map(|row| get(row).unwrap_or(f64::NAN));
                Series::new(name, full.collect::<Vec<f64>>())
            }
            (Cell::Number(get, _), false) => {
                Series::new(name, rows.iter().map(get).collect::<Vec<Option<f64>>>())
            }
        }
    }

    /// Reads the column of a table into its rows.
    ///
    /// # Errors
    ///
    /// Fails where the column is missing, of another type, or has gaps that it may not have.
    pub(super) fn read(
        &self,
        table: &DataFrame,
        columns: &Columns<'_>,
        rows: &mut [ResultRow],
    ) -> Result<(), TableError> {
        if self.may_be_absent && table.column(self.name).is_err() {
            return Ok(());
        }
        match (&self.cell, self.is_full) {
            (Cell::Text(_, set), true) => {
                fill(rows, columns.full_strings(self.name)?.into_iter().map(Some), *set);
            }
            (Cell::Text(_, set), false) => fill(rows, columns.strings(self.name)?, *set),
            (Cell::Count(_, set), true) => {
                fill(rows, columns.full_integers(self.name)?.into_iter().map(Some), *set);
            }
            (Cell::Count(_, set), false) => fill(rows, columns.integers(self.name)?, *set),
            (Cell::Number(_, set), true) => {
                fill(rows, columns.full_numbers(self.name)?.into_iter().map(Some), *set);
            }
            (Cell::Number(_, set), false) => fill(rows, columns.numbers(self.name)?, *set),
        }
        Ok(())
    }

    /// Returns the value of a row as JSON; `number` rounds as asked for.
    pub(super) fn json(&self, row: &ResultRow, number: impl Fn(f64) -> f64) -> Value {
        match &self.cell {
            Cell::Text(get, _) => get(row).into(),
            Cell::Count(get, _) => get(row).into(),
            Cell::Number(get, _) => get(row).map(number).into(),
        }
    }

    /// Returns the number of a row; `None` for other columns and for gaps.
    pub(super) fn number(&self, row: &ResultRow) -> Option<f64> {
        match &self.cell {
            Cell::Number(get, _) => get(row),
            _ => None,
        }
    }
}

fn fill<T>(
    rows: &mut [ResultRow],
    values: impl IntoIterator<Item = Option<T>>,
    set: fn(&mut ResultRow, T),
) {
    for (row, value) in rows.iter_mut().zip(values) {
        if let Some(value) = value {
            set(row, value);
        }
    }
}

/// The columns before parameters and metrics.
pub(super) static LEADING: &[Column] = &[
    Column::full("run", Cell::Text(|row| Some(&row.run), |row, value| row.run = value)),
    Column::full(
        "pipeline",
        Cell::Text(|row| Some(&row.pipeline), |row, value| row.pipeline = value),
    ),
    Column::full("stage", Cell::Text(|row| Some(&row.stage), |row, value| row.stage = value)),
    Column::with_gaps("trial", Cell::Count(|row| row.trial, |row, value| row.trial = Some(value))),
    Column::full("seed", Cell::Count(|row| Some(row.seed), |row, value| row.seed = value)),
    Column::full("split", Cell::Text(|row| Some(&row.split), |row, value| row.split = value)),
    Column::full("n", Cell::Count(|row| Some(row.n), |row, value| row.n = value)),
];

/// The columns after them.
pub(super) static TRAILING: &[Column] = &[
    Column::full("steps", Cell::Count(|row| Some(row.steps), |row, value| row.steps = value)),
    Column::full(
        "seconds",
        Cell::Number(|row| Some(row.seconds), |row, value| row.seconds = value),
    ),
    Column::with_gaps(
        "encodings",
        Cell::Count(|row| row.encodings, |row, value| row.encodings = Some(value)),
    )
    .newer(),
    Column::with_gaps(
        "peak_memory",
        Cell::Count(|row| row.peak_memory, |row, value| row.peak_memory = Some(value)),
    )
    .newer(),
    // The figures about generated texts follow their number, which makes their summary.
    Column::with_gaps(
        "generated",
        Cell::Count(
            |row| row.augmentation.map(|summary| summary.generated),
            |row, value| row.augmentation.get_or_insert_default().generated = value,
        ),
    )
    .newer(),
    Column::with_gaps(
        "accepted_share",
        Cell::Number(
            |row| row.augmentation?.accepted_share,
            |row, value| {
                if let Some(summary) = &mut row.augmentation {
                    summary.accepted_share = Some(value);
                }
            },
        ),
    )
    .newer(),
    Column::with_gaps(
        "augmentation_loss",
        Cell::Number(
            |row| row.augmentation?.augmentation_loss,
            |row, value| {
                if let Some(summary) = &mut row.augmentation {
                    summary.augmentation_loss = Some(value);
                }
            },
        ),
    )
    .newer(),
    Column::with_gaps(
        "copy_rate",
        Cell::Number(
            |row| row.augmentation?.copy_rate,
            |row, value| {
                if let Some(summary) = &mut row.augmentation {
                    summary.copy_rate = Some(value);
                }
            },
        ),
    )
    .newer(),
    Column::full("method", Cell::Text(|row| Some(&row.method), |row, value| row.method = value))
        .newer(),
    Column::full("chosen", Cell::Text(|row| Some(&row.chosen), |row, value| row.chosen = value))
        .newer(),
    Column::full("backend", Cell::Text(|row| Some(&row.backend), |row, value| row.backend = value)),
    Column::full(
        "backend_reason",
        Cell::Text(|row| Some(&row.backend_reason), |row, value| row.backend_reason = value),
    )
    .newer(),
    Column::full(
        "initial_weights",
        Cell::Text(|row| Some(&row.initial_weights), |row, value| row.initial_weights = value),
    )
    .newer(),
    Column::full("device", Cell::Text(|row| Some(&row.device), |row, value| row.device = value)),
    Column::with_gaps("parts", Cell::Count(|row| row.parts, |row, value| row.parts = Some(value)))
        .newer(),
    Column::with_gaps(
        "stopped_epoch",
        Cell::Count(|row| row.stopped_epoch, |row, value| row.stopped_epoch = Some(value)),
    )
    .newer(),
    Column::with_gaps(
        "error",
        Cell::Text(|row| row.error.as_deref(), |row, value| row.error = Some(value)),
    )
    .newer(),
];

/// Returns the column with this name; `None` for parameters, metrics and unknown names.
pub(super) fn find(name: &str) -> Option<&'static Column> {
    LEADING.iter().chain(TRAILING).find(|column| column.name == name)
}
