//! `pipe verify --replay`: computes a run again and compares it with what is stored.

use std::collections::BTreeSet;

use clap::Parser;

use super::args::{Cli, Command};
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::progress::{Preparation, RunProgress};
use super::run::catch_interrupts;
use crate::base::digests;
use crate::base::report::Progress;
use crate::dag;
use crate::data::TableError;
use crate::engine::Device;
use crate::pipeline::Override;
use crate::pipeline::problem::suggest;
use crate::runner::record::runs::Run;
use crate::runner::replay::{Differs, Replay, Replayed, replay as replayed};
use crate::runner::{Event, Observer, Project, Settings};

/// The most differences that are shown.
const SHOWN: usize = 5;

/// Replays a run, or one stage of it, and prints the first differences.
pub fn replay(
    project: &Project,
    run: &Run,
    stage: Option<&str>,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let about = &run.provenance;
    if let Some(stage) = stage.filter(|stage| about.stages.iter().all(|one| one.stage != **stage)) {
        let names = about.stages.iter().map(|one| one.stage.as_str());
        let names: Vec<&str> = names.collect::<BTreeSet<_>>().into_iter().collect();
        let message = format!("run `{}` has no stage `{stage}`", about.run);
        return Err(Failure::usage(message, suggest::hint(stage, "its stages are", names)));
    }
    let source = run.folder.join("pipeline.yaml");
    let text = digests::read(&source).map_err(TableError::from)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let path = project.root.join(&about.pipeline);
    let (spec, plan) = dag::reopen(&path, text, &overrides(&about.command)?)?;
    let settings = Settings {
        seeds: about.seeds.clone(),
        workers: 1,
        keep_going: true,
        force: false,
        device: device(&about.device)?,
        threads: about.threads,
        command: about.command.clone(),
    };
    let asked = Replay { project, run, spec: &spec, plan: &plan, stage, settings };
    let interrupt = catch_interrupts(printer)?;
    let preparation = Preparation::new(printer);
    let progress = RunProgress::new(printer);
    let observer = Brief { progress: &progress, is_verbose: printer.is_verbose() };
    let found = replayed(&asked, &interrupt, &observer, &preparation)?;
    drop(preparation);
    tell(&about.run, &found, printer)
}

/// Shows what is computed, and of all else only what is asked for: the run itself has said it.
struct Brief<'a> {
    progress: &'a RunProgress<'a>,
    is_verbose: bool,
}

impl Observer for Brief<'_> {
    fn event(&self, event: &Event<'_>) {
        let is_known =
            matches!(event, Event::Warning { .. } | Event::Note { .. } | Event::StageCached { .. });
        if !is_known || self.is_verbose {
            self.progress.event(event);
        }
    }

    fn progress(&self, task: &str, progress: &Progress<'_>) {
        self.progress.progress(task, progress);
    }
}

/// Returns what a command line set in the pipeline file.
fn overrides(command: &[String]) -> Result<Vec<Override>, Failure> {
    match Cli::try_parse_from(command).map(|cli| cli.command) {
        Ok(Command::Run(args)) => Ok(args.file.set),
        Ok(Command::Sweep(args)) => Ok(args.set.into_iter().chain(args.parameters).collect()),
        Ok(_) | Err(_) => {
            let line = command.join(" ");
            let message = format!("the command of the run is not understood any more: `{line}`");
            Err(Failure::plain(Exit::Failed, message, None))
        }
    }
}

fn device(name: &str) -> Result<Device, Failure> {
    name.parse().map_err(|_| {
        let message = format!("the run was computed on `{name}`, which is not known here");
        Failure::plain(Exit::Failed, message, None)
    })
}

fn tell(run: &str, found: &Replayed, printer: &Printer) -> Result<Exit, Failure> {
    let Replayed { compared, incomplete, differing, surroundings, is_interrupted } = found;
    for Differs { output, what, changes } in differing.iter().take(SHOWN) {
        printer.warning(&format!("{output} differs: {what}"));
        changes.iter().for_each(|change| printer.status(&format!("  {change}")));
    }
    if let Some(more @ 1..) = differing.len().checked_sub(SHOWN) {
        printer.status(&format!("  and {more} more outputs"));
    }
    if !surroundings.is_empty() {
        printer.status("what differs around the run:");
        surroundings.iter().for_each(|line| printer.status(&format!("  {line}")));
    }
    if *incomplete > 0 {
        let verb = if *incomplete == 1 { "output is" } else { "outputs are" };
        printer.status(&format!(
            "{incomplete} {verb} not stored as a whole any more; what is left was compared"
        ));
    }
    if *is_interrupted {
        printer.status(&format!("interrupted after {compared} outputs of run {run}"));
        return Ok(Exit::Interrupted);
    }
    let count = match compared {
        1 => "1 output".to_owned(),
        count => format!("{count} outputs"),
    };
    if *compared == 0 && differing.is_empty() {
        let message = format!("nothing of run `{run}` is stored that could be compared");
        return Err(Failure::plain(Exit::Failed, message, None));
    }
    if differing.is_empty() {
        printer.data(format!("identical: {count} of run {run}\n"))?;
        return Ok(Exit::Success);
    }
    let many = if differing.len() == 1 { "output differs" } else { "outputs differ" };
    printer.data(format!("different: {} {many} of run {run}\n", differing.len()))?;
    Ok(Exit::Failed)
}
