//! `pipe sweep`: runs a pipeline with many parameter values.

use super::args::SweepArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::progress::Preparation;
use super::run::catch_interrupts;
use super::sweep_progress::SweepProgress;
use super::{open, tables};
use crate::base::clock::{self, Stopwatch};
use crate::dag;
use crate::engine::Device;
use crate::results::results::display_param;
use crate::runner::record::provenance::Status;
use crate::runner::sweep::{Overview, SweepFinished, SweepRun, SweepSettings};
use crate::search::config::Method;

/// A grid of this size or more is taken for a mistake.
const MAX_GRID: usize = crate::search::grid::MAX_POINTS;

/// Runs a sweep and prints its trials.
pub fn sweep(args: &SweepArgs, printer: &Printer) -> Result<Exit, Failure> {
    let stopwatch = Stopwatch::start();
    if args.seeds.is_some() && args.set.iter().any(|one| one.key == "sweep.seeds") {
        return Err(open::both_set("sweep.seeds"));
    }
    let overrides: Vec<_> = args.set.iter().chain(&args.parameters).cloned().collect();
    let (spec, plan) = dag::open(&args.file, &overrides)?;
    dag::check_reach(&spec)?;
    let Some(mut sweep) = spec.sweep.clone().filter(|sweep| !sweep.parameters.is_empty()) else {
        let file = args.file.display();
        return Err(Failure::usage(
            format!("`{file}` has no parameters to sweep"),
            Some(format!(
                "add `sweep: {{ parameters: … }}` to it, or give values: `pipe sweep {file} \
                 'params.NAME=1,2,3'`"
            )),
        ));
    };
    let sets_seed = args.set.iter().any(|one| one.key == "seed");
    if sets_seed && args.seeds.is_some() {
        return Err(open::both_set("seed"));
    }
    if sets_seed && sweep.seeds.is_some() {
        let hint = "set `sweep.seeds`, or give `--seeds`".to_owned();
        return Err(Failure::usage("the sweep has `seeds`, so `seed` reaches nothing", Some(hint)));
    }
    open::warn_of_idle(&spec, &plan, printer);
    let caps = [sweep.run_cap, args.run_cap.map(|cap| cap as usize)];
    sweep.run_cap = caps.into_iter().flatten().min();
    let seeds = match &args.seeds {
        Some(seeds) => seeds.0.clone(),
        None => sweep.seeds.clone().unwrap_or_else(|| vec![spec.seed]),
    };
    let gpus: Vec<Device> = args.gpus.iter().copied().map(Device::Cuda).collect();
    let devices = if gpus.is_empty() { args.device.clone() } else { gpus.clone() };
    let twice =
        devices.iter().enumerate().find(|(place, device)| devices[..*place].contains(device));
    if let Some((_, device)) = twice {
        return Err(Failure::usage(format!("`{device}` is named twice"), None));
    }
    if args.device.len() > 1 && args.device.iter().any(|device| !matches!(device, Device::Cuda(_)))
    {
        let hint =
            Some("several devices must all be GPUs, such as `--device cuda:0,cuda:1`".to_owned());
        return Err(Failure::usage("results of different devices would share one cache key", hint));
    }
    let settings = SweepSettings {
        seeds,
        workers: usize::from(args.jobs).max(gpus.len()),
        fail_fast: args.fail_fast,
        devices,
        threads: open::threads(args.threads),
        command: open::command_line(),
    };
    let preparation = Preparation::new(printer);
    let run = SweepRun::prepare(&spec, &sweep, &plan, settings, !args.dry_run, &preparation)
        .map_err(Failure::before_anything_ran)?;
    drop(preparation);
    if sweep.method == Method::Grid && run.limit() >= MAX_GRID {
        return Err(Failure::usage(
            format!("the grid has {MAX_GRID} trials or more"),
            Some(
                "`--run-cap` runs only the first of them; `random` and `tpe` run as many as \
                 `trials` allows"
                    .to_owned(),
            ),
        ));
    }
    if args.dry_run {
        return dry_run(&run.overview()?, args, printer);
    }
    if let Some(note) = run.idle_workers() {
        printer.status(&note);
    }
    let interrupt = catch_interrupts(printer)?;
    let finished = run.execute(&SweepProgress::new(printer), &interrupt)?;
    tell(&finished, stopwatch.seconds(), args, printer);
    if !finished.table.rows.is_empty() || args.table.is_for_programs() {
        printer.print(&tables::render_trials(&finished.table, &args.table, printer)?)?;
    }
    tell_best(&finished, args, printer);
    match finished.status {
        Status::Failed => Ok(Exit::Failed),
        Status::Interrupted => Ok(Exit::Interrupted),
        Status::Complete | Status::Running => Ok(Exit::Success),
    }
}

/// Prints the trials and their expected time.
fn dry_run(overview: &Overview, args: &SweepArgs, printer: &Printer) -> Result<Exit, Failure> {
    let lines: Vec<Vec<String>> = overview
        .listed
        .iter()
        .map(|trial| {
            let state = match &trial.error {
                Some(error) => format!("fails: {error}"),
                None if trial.missing_seeds == 0 => "cached".to_owned(),
                None if trial.cached_seeds == 0 => "run".to_owned(),
                None => format!(
                    "run {} of {} seeds",
                    trial.missing_seeds,
                    trial.missing_seeds + trial.cached_seeds
                ),
            };
            vec![format!("trial {}", trial.number), trial.values.clone(), state]
        })
        .collect();
    let exit = printer.text(tables::columns(&lines))?;
    let (trials, missing) = (overview.trials, overview.missing);
    let more = match overview.is_whole {
        true => String::new(),
        false => {
            format!(
                " for the first {}; the others are chosen from their results",
                overview.listed.len()
            )
        }
    };
    printer.status(&format!("dry run: {trials} trials; {missing} stages would run{more}"));
    match overview.seconds {
        _ if missing == 0 => {}
        Some(seconds) => {
            let at_once = if args.jobs > 1 { " if run one after the other" } else { "" };
            printer.status(&format!(
                "expected: {}{at_once}, from the times of earlier runs",
                clock::duration(seconds)
            ));
        }
        None => printer.status("expected: unknown, since the cache holds no run of this file yet"),
    }
    Ok(exit)
}

fn tell(finished: &SweepFinished, seconds: f64, args: &SweepArgs, printer: &Printer) {
    let time = clock::duration(seconds);
    let SweepFinished { run, computed, cached, record, .. } = finished;
    let trials = record.trials;
    let ended = match finished.status {
        Status::Failed if args.fail_fast && !finished.is_complete => "stopped at a failed trial",
        Status::Interrupted => "interrupted",
        Status::Failed => "ended, with failed trials",
        Status::Complete | Status::Running => "complete",
    };
    let mut line = format!(
        "sweep {run} {ended}: {trials} trials, {computed} trainings run, {cached} cached, in \
         {time}"
    );
    if record.stopped > 0 {
        line.push_str(&format!("; {} trials ended early", record.stopped));
    }
    printer.status(&line);
    if !finished.is_complete {
        printer.status("  the same command resumes the sweep");
    }
    const SHOWN: usize = 5;
    for (trial, values, error) in finished.failures.iter().take(SHOWN) {
        printer.warning(&format!("trial {trial} ({values}) failed: {error}"));
    }
    if let Some(more @ 1..) = finished.failures.len().checked_sub(SHOWN) {
        printer.warning(&format!(
            "{more} more trials failed; the column `error` of the table has the reasons"
        ));
    }
}

/// Names the best trial, and warns that it was selected.
fn tell_best(finished: &SweepFinished, args: &SweepArgs, printer: &Printer) {
    let (Some(best), Some(metric)) = (&finished.record.best, &finished.record.metric) else {
        return;
    };
    let values: Vec<String> =
        best.values.iter().map(|(key, value)| format!("{key}={}", display_param(value))).collect();
    printer.status(&format!(
        "best of {}: trial {} ({}) with {metric} {:.4}; it was selected by this value, so expect a \
         worse one on new data",
        best.of,
        best.trial,
        values.join(" "),
        best.value
    ));
    let set: Vec<String> = values.iter().map(|value| format!("-S '{value}'")).collect();
    printer.status(&format!(
        "  hint: `pipe compare {}` tests which differences are more than noise; `pipe run {} {}` \
         runs this trial alone",
        finished.run,
        args.file.display(),
        set.join(" ")
    ));
}
