//! `pipe show`: prints the results of a run.

use super::args::ShowArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::{augmented, open, tables};
use crate::base::clock;
use crate::results::format;
use crate::results::results::ResultTable;
use crate::results::row::ResultRow;
use crate::runner::Project;
use crate::runner::record::runs::{self, Run};
use crate::stages::Evaluation;

/// Prints the results of a run.
pub fn show(args: &ShowArgs, printer: &Printer) -> Result<Exit, Failure> {
    let project = Project::here()?;
    let run = runs::find(&project, Some(&args.run))?;
    let about = &run.provenance;
    let time = clock::duration(about.seconds);
    printer.status(&format!("run {}: {}, {time}, {}", about.run, run.status(), about.pipeline));
    if let Some(error) = &about.error {
        printer.warning(error);
    }
    if let Some(stage) = &args.augmented {
        return augmented::show(&project, &run, stage, args, printer);
    }
    if !run.folder.join("results.parquet").is_file() {
        let hint = Some(format!("`pipe {} {}` resumes it", run.verb(), about.pipeline));
        return Err(Failure::usage(
            format!("run `{}` has no results: it is {}", about.run, run.status()),
            hint,
        ));
    }
    let table = ResultTable::read(&run.folder)?;
    printer.print(&match about.sweep {
        Some(_) => tables::render_trials(&table, &args.table, printer)?,
        None => tables::render(&table, &args.table, printer)?,
    })?;
    let mut text = String::new();
    let precision = args.table.precision.map_or(4, usize::from);
    for row in &table.rows {
        let trial = row.trial.map(|trial| format!("trial {trial}, ")).unwrap_or_default();
        let title = format!("\n{}, {trial}seed {}, {}\n", row.stage, row.seed, row.split);
        if printer.is_verbose() && !args.table.is_for_programs() {
            text.push_str(&title);
            text.push_str(format::per_class(row, precision, printer.width()).trim_end());
            text.push('\n');
        }
        if args.confusion {
            let evaluation = evaluation(&project, &run, row)?;
            text.push_str(&title);
            text.push_str("rows: true class; columns: predicted class\n");
            text.push_str(
                format::confusion(&evaluation.labels, &evaluation.confusion, printer.width())
                    .trim_end(),
            );
            text.push('\n');
        }
    }
    printer.text(text)
}

/// Returns an evaluation of a run from the cache.
fn evaluation(project: &Project, run: &Run, row: &ResultRow) -> Result<Evaluation, Failure> {
    open::output(project, run, &row.stage, row.trial, row.seed, Evaluation::read)
}
