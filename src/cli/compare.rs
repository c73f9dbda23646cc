//! `pipe compare`: says which recipe is better, and whether that is more than noise.

use super::args::{CompareArgs, TableArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::sources;
use crate::results::compare::{Request, compare as compared};
use crate::results::format::compared::Shown;
use crate::results::format::{compared as forms, compared_csv};

/// Texts that are listed where nothing else is asked for.
const EXAMPLES: usize = 20;

/// Compares recipes of runs, trials and files.
pub fn compare(args: &CompareArgs, printer: &Printer) -> Result<Exit, Failure> {
    let sources = sources::read(&args.runs)?;
    let table = &args.table;
    let request = Request {
        metrics: table.metric.clone(),
        split: args.split.clone(),
        baseline: args.baseline.clone(),
        seeds: args.seeds.as_ref().map(|seeds| seeds.0.clone()).unwrap_or_default(),
        by: args.by.clone(),
        examples: args.examples.clone(),
        most_examples: table.top.unwrap_or(EXAMPLES),
        sort_by: table.sort_by.clone(),
        // With texts to list, it says how many of them.
        top: table.top.filter(|_| args.examples.is_none()),
        different_tests: args.different_tests,
    };
    let comparison = compared(&sources, &request)?;
    let shown =
        Shown { precision: table.precision.map(usize::from), only_changed: args.only_changed };
    let text = match table {
        TableArgs { json: true, .. } => {
            forms::json(&comparison, shown).map_err(std::io::Error::from)?
        }
        TableArgs { csv: true, .. } => {
            // A table of values has no room for sentences.
            comparison.notes.iter().for_each(|note| printer.status(note));
            compared_csv::csv(&comparison, shown)?
        }
        TableArgs { md: true, .. } => forms::markdown(&comparison, shown),
        _ => forms::terminal(&comparison, shown, printer.width()),
    };
    printer.data(&text)
}
