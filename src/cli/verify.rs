//! `pipe verify`: compares the stored outputs and tables of a run with their digests.

use std::collections::{BTreeMap, BTreeSet};

use super::args::VerifyArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::replay;
use crate::results::results::display_param;
use crate::runner::Project;
use crate::runner::cache::cache::Cache;
use crate::runner::cache::entry::{Depth, Lookup};
use crate::runner::record::provenance::StageRecord;
use crate::runner::record::runs::{self, Run};

/// Compares the outputs of a run, and the tables in its folder, with the digests that they had when
/// they were written.
pub fn verify(args: &VerifyArgs, printer: &Printer) -> Result<Exit, Failure> {
    let project = Project::here()?;
    let run = runs::find(&project, Some(&args.run))?;
    // A run that is named by its folder may be another project's.
    let project = run.project();
    if args.replay {
        return replay::replay(&project, &run, args.stage.as_deref(), printer);
    }
    let cache = Cache::new(&project);
    let mut tally = Tally { printer, whole: 0, dropped: 0, damaged: 0 };
    // Trials share outputs, and one of them may have made what another did not need.
    let mut outputs: BTreeMap<_, Vec<&StageRecord>> = BTreeMap::new();
    for record in &run.provenance.stages {
        outputs.entry(record.key).or_default().push(record);
    }
    let mut seen = BTreeSet::new();
    for record in run.provenance.stages.iter().filter(|record| seen.insert(record.key)) {
        let name = format!("`{}` (seed {})", record.stage, record.seed);
        let was_there = outputs[&record.key]
            .iter()
            .any(|record| ["cached", "computed"].contains(&record.outcome.as_str()));
        match cache.find_any(&record.key, Depth::Sizes) {
            Lookup::Hit(entry) => {
                let problems = entry
                    .problems(Depth::WHOLE)
                    .unwrap_or_else(|error| vec![format!("it cannot be read: {error}")]);
                tally.add(&name, entry.done.is_stripped, &problems);
                if args.repair && !problems.is_empty() {
                    cache.set_aside_damaged(&record.key)?;
                }
            }
            Lookup::Damaged(reason) => {
                tally.add(&name, false, &[reason]);
                if args.repair {
                    cache.set_aside_damaged(&record.key)?;
                }
            }
            Lookup::Unreadable(error) => {
                tally.add(&name, false, &[format!("it cannot be read: {error}")]);
            }
            Lookup::Miss if was_there => {
                tally.add(&name, false, &["its output is no longer in the cache".to_owned()]);
            }
            Lookup::Miss => {}
        }
    }
    let folders = run.folders_with_digests()?;
    for folder in &folders {
        let changed = runs::changed_files(folder).unwrap_or_default();
        let problems: Vec<String> =
            changed.iter().map(|file| format!("`{file}` has changed, or is missing")).collect();
        tally.add(&format!("`{}`", project.relative(folder)), false, &problems);
    }
    let Tally { whole, dropped, damaged, .. } = tally;
    let dropped = match dropped {
        0 => String::new(),
        count => format!(", {count} models dropped after their last use"),
    };
    printer.status(&format!(
        "run {}: {whole} intact{dropped}, {damaged} damaged or missing",
        run.provenance.run
    ));
    if damaged == 0 {
        return Ok(Exit::Success);
    }
    let command = command(&run);
    printer.status(&match args.repair {
        true => {
            format!("  what is damaged was set aside; `{command}` computes what it needs of it")
        }
        false => format!(
            "  hint: `pipe verify --repair` sets aside what is damaged; then `{command}` computes \
             what it needs of it, and gives tables anew"
        ),
    });
    if let Some(best) = run.provenance.sweep.as_ref().and_then(|sweep| sweep.best.as_ref()) {
        let set =
            best.values.iter().map(|(key, value)| format!("-S '{key}={}'", display_param(value)));
        let set = set.collect::<Vec<_>>().join(" ");
        let file = &run.provenance.pipeline;
        printer.status(&format!(
            "  hint: a model of a sweep is trained again by its trial alone; the best is `pipe run \
             {file} {set}`"
        ));
    }
    Ok(Exit::Failed)
}

/// Returns the command line of a run.
fn command(run: &Run) -> String {
    let words = run.provenance.command.iter().skip(1).map(|word| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:".contains(c);
        match word.chars().all(is_plain) && !word.is_empty() {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', "'\\''")),
        }
    });
    std::iter::once("pipe".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Counts and names what was looked at.
struct Tally<'a> {
    printer: &'a Printer,
    whole: usize,
    dropped: usize,
    damaged: usize,
}

impl Tally<'_> {
    fn add(&mut self, name: &str, is_dropped: bool, problems: &[String]) {
        if problems.is_empty() {
            let (count, state) = match is_dropped {
                true => (&mut self.dropped, "dropped; its records are intact"),
                false => (&mut self.whole, "intact"),
            };
            *count += 1;
            self.printer.detail(&format!("{name}: {state}"));
            return;
        }
        self.damaged += 1;
        problems.iter().for_each(|problem| self.printer.warning(&format!("{name}: {problem}")));
    }
}
