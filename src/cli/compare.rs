//! `pipe compare`: compares recipes and tests whether their differences are more than noise.

use super::args::{CompareArgs, TableArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::printer::{Output, Printer};
use super::sources;
use crate::results::compare::{Request, compare as compared};
use crate::results::format::compared::Shown;
use crate::results::format::{compared as forms, compared_csv};

/// The default number of listed texts.
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
        // With `--examples`, `--top` limits the listed texts instead.
        top: table.top.filter(|_| args.examples.is_none()),
        different_tests: args.different_tests,
    };
    let comparison = compared(&sources, &request)?;
    let shown =
        Shown { precision: table.precision.map(usize::from), only_changed: args.only_changed };
    let output = match table {
        TableArgs { json: true, .. } => {
            Output::Programs(forms::json(&comparison, shown).map_err(std::io::Error::from)?)
        }
        TableArgs { csv: true, .. } => {
            // CSV has no place for sentences.
            comparison.notes.iter().for_each(|note| printer.status(note));
            Output::Programs(compared_csv::csv(&comparison, shown)?)
        }
        TableArgs { md: true, .. } => Output::People(forms::markdown(&comparison, shown)),
        _ => Output::People(forms::terminal(&comparison, shown, printer.width())),
    };
    printer.print(&output)
}
