//! `pipe verify`: compares the stored outputs and tables of a run with their digests.

use std::collections::{BTreeMap, BTreeSet};

use super::args::VerifyArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::replay;
use crate::runner::Project;
use crate::runner::cache::cache::Cache;
use crate::runner::cache::entry::{Depth, Lookup};
use crate::runner::record::provenance::StageRecord;
use crate::runner::record::runs;

/// Compares the outputs of a run, and the tables in its folder, with the digests that they had when
/// they were written.
pub fn verify(args: &VerifyArgs, printer: &Printer) -> Result<Exit, Failure> {
    let project = Project::here()?;
    let run = runs::find(&project, Some(&args.run))?;
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
                let problems = entry.problems(Depth::WHOLE)?;
                tally.add(&name, entry.done.is_stripped, &problems);
                if args.repair && !problems.is_empty() {
                    cache.set_aside_unless_used(&record.key)?;
                }
            }
            Lookup::Damaged(reason) => {
                tally.add(&name, false, &[reason]);
                if args.repair {
                    cache.set_aside_unless_used(&record.key)?;
                }
            }
            Lookup::Unreadable(error) => return Err(error.into()),
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
    let file = project.root.join(&run.provenance.pipeline);
    let here = std::path::absolute(".")?;
    let file = file.strip_prefix(here).unwrap_or(&file).display();
    let verb = run.verb();
    printer.status(&match args.repair {
        true => format!(
            "  damaged outputs were set aside; `pipe {verb} {file}` computes again what it needs of \
             them, and writes changed tables anew"
        ),
        false => format!(
            "  hint: `pipe verify --repair` sets damaged outputs aside; then `pipe {verb} {file}` \
             computes again what it needs of them, and writes changed tables anew"
        ),
    });
    Ok(Exit::Failed)
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
