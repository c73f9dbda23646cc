//! Result tables on stdout, in the requested form.

use std::borrow::Cow;

use super::args::TableArgs;
use super::failure::Failure;
use super::printer::{Output, Printer};
use crate::base::cut::visible_line;
use crate::results::format::{self, Options};
use crate::results::results::ResultTable;

/// Returns the table in the requested form.
pub fn render(table: &ResultTable, args: &TableArgs, printer: &Printer) -> Result<Output, Failure> {
    in_form(table, args, false, printer)
}

/// Returns the table of a sweep in the requested form; a table for people has one row per trial and
/// stage.
pub fn render_trials(
    table: &ResultTable,
    args: &TableArgs,
    printer: &Printer,
) -> Result<Output, Failure> {
    in_form(table, args, !printer.is_verbose(), printer)
}

fn in_form(
    table: &ResultTable,
    args: &TableArgs,
    summarise: bool,
    printer: &Printer,
) -> Result<Output, Failure> {
    let options = Options {
        summarise,
        metrics: args.metric.clone(),
        sort_by: args.sort_by.clone(),
        top: args.top,
        precision: args.precision.map(usize::from),
    };
    let mut text = match args {
        TableArgs { json: true, .. } => format::json(table, &options)?,
        TableArgs { csv: true, .. } => format::csv(table, &options)?,
        TableArgs { md: true, .. } => format::markdown(table, &options)?,
        _ => format::terminal(table, &options, printer.width())?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(if args.is_for_programs() { Output::Programs(text) } else { Output::People(text) })
}

impl TableArgs {
    /// Returns whether a program will read the table. Programs get a table even without rows.
    pub fn is_for_programs(&self) -> bool {
        self.json || self.csv
    }
}

/// Lays out lines of cells in columns two spaces apart; the last column is not padded.
pub fn columns(lines: &[Vec<String>]) -> String {
    let lines: Vec<Vec<Cow<'_, str>>> =
        lines.iter().map(|line| line.iter().map(|cell| visible_line(cell)).collect()).collect();
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
