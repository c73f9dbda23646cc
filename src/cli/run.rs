//! `pipe run`: runs a pipeline and prints its results.

use super::args::RunArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::open::{self, Manner};
use super::printer::Printer;
use super::progress::RunProgress;
use super::{signals, tables};
use crate::base::clock::{self, Stopwatch};
use crate::runner::record::provenance::Status;
use crate::runner::{Finished, Interrupt, Prepared};

/// Runs a pipeline and prints its results.
pub fn run(args: &RunArgs, printer: &Printer) -> Result<Exit, Failure> {
    let stopwatch = Stopwatch::start();
    open::check_reach(&args.file, &args.keys)?;
    let (spec, mut plan) = open::file(&args.file)?;
    if let Some(until) = &args.until {
        let stage = open::stage(&plan, until)?;
        plan = plan.until(&stage).unwrap_or(plan);
    }
    open::warn_of_idle(&spec, &plan, printer);
    let manner = Manner {
        workers: args.jobs.into(),
        keep_going: args.keep_going,
        force: args.force,
        install: !args.dry_run,
    };
    let prepared = open::keys(&spec, &plan, &args.keys, manner, printer)?;
    if args.dry_run {
        return dry_run(&prepared, printer);
    }
    let interrupt = catch_interrupts(printer)?;
    let finished = prepared.execute(&RunProgress::new(printer), &interrupt)?;
    tell(&finished, stopwatch.seconds(), printer);
    if !finished.table.rows.is_empty() || args.table.is_for_programs() {
        printer.print(&tables::render(&finished.table, &args.table, printer)?)?;
    }
    match finished.status {
        Status::Failed => Err(Failure::Stages(finished.failures)),
        Status::Interrupted => Ok(Exit::Interrupted),
        Status::Complete | Status::Running => Ok(Exit::Success),
    }
}

/// Prints for every stage whether it would run, and why.
fn dry_run(prepared: &Prepared<'_>, printer: &Printer) -> Result<Exit, Failure> {
    let reasons = prepared.reasons();
    let lines: Vec<Vec<String>> = reasons
        .iter()
        .map(|(label, reason)| match reason.runs() {
            true => vec![(*label).to_owned(), "run".to_owned(), reason.to_string()],
            false => vec![(*label).to_owned(), "cached".to_owned()],
        })
        .collect();
    let exit = printer.text(tables::columns(&lines))?;
    let runs = reasons.iter().filter(|(_, reason)| reason.runs()).count();
    printer.status(&format!("dry run: {runs} of {} stages would run", reasons.len()));
    Ok(exit)
}

fn tell(finished: &Finished, seconds: f64, printer: &Printer) {
    let time = clock::duration(seconds);
    match finished.status {
        _ if finished.nothing_to_do => {
            printer.status(&format!(
                "nothing to do: all {} stages cached, as in run {}",
                finished.cached, finished.run
            ));
        }
        Status::Complete | Status::Running => printer.status(&format!(
            "run {} complete: {} computed, {} cached, in {time}",
            finished.run, finished.computed, finished.cached
        )),
        Status::Failed => {
            let mut line = format!("run {} failed after {time}", finished.run);
            if !finished.not_run.is_empty() {
                line.push_str(&format!("; not run: {}", finished.not_run.join(", ")));
            }
            printer.status(&line);
        }
        Status::Interrupted => {
            printer.status(&format!(
                "run {} interrupted after {time}; the same command resumes the run",
                finished.run
            ));
        }
    }
}

/// Handles Ctrl-C: the first asks the stages to stop after their current step, the second ends the
/// program at once.
pub(super) fn catch_interrupts(printer: &Printer) -> Result<Interrupt, Failure> {
    let interrupt = Interrupt::default();
    let asked = interrupt.clone();
    let bars = printer.bars().clone();
    let handler = move || {
        if asked.ask() {
            // Files are written atomically, so there is nothing to wait for.
            let _ = bars.clear();
            signals::leave(Exit::Interrupted);
        }
        bars.suspend(|| {
            use std::io::Write;
            let _ = writeln!(
                std::io::stderr(),
                "stopping after the current step; press Ctrl-C again to stop at once"
            );
        });
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Failure::usage(format!("cannot watch for Ctrl-C: {error}"), None))?;
    Ok(interrupt)
}
