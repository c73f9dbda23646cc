//! `pipe verify`: re-hashes the cached outputs of a run and reports damage.

use std::collections::BTreeSet;

use super::args::VerifyArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use crate::runner::Project;
use crate::runner::cache::cache::{Cache, Lookup};
use crate::runner::record::runs;

/// Re-hashes the cached outputs of a run and reports those that differ from their stored digests.
pub fn verify(args: &VerifyArgs, printer: &Printer) -> Result<Exit, Failure> {
    let project = Project::here()?;
    let run = runs::find(&project, Some(&args.run))?;
    let cache = Cache::new(&project);
    let (mut whole, mut damaged) = (0usize, 0usize);
    let mut seen = BTreeSet::new();
    for record in run
        .provenance
        .stages
        .iter()
        .filter(|record| ["cached", "computed"].contains(&record.outcome.as_str()))
    {
        if !seen.insert(record.key) {
            continue;
        }
        let name = format!("`{}` (seed {})", record.stage, record.seed);
        let problems = match cache.find(&record.key) {
            Lookup::Hit(entry) => entry.verify()?,
            Lookup::Miss => vec!["its output is no longer in the cache".to_owned()],
            Lookup::Damaged(reason) => vec![reason],
        };
        if problems.is_empty() {
            whole += 1;
            printer.detail(&format!("{name}: intact"));
        } else {
            damaged += 1;
            problems.iter().for_each(|problem| printer.warning(&format!("{name}: {problem}")));
        }
    }
    printer.status(&format!(
        "run {}: {whole} outputs intact, {damaged} damaged or missing",
        run.provenance.run
    ));
    if damaged == 0 {
        return Ok(Exit::Success);
    }
    let file = project.root.join(&run.provenance.pipeline);
    let here = std::path::absolute(".")?;
    let file = file.strip_prefix(here).unwrap_or(&file).display();
    printer.status(&format!("  hint: `pipe run --force {file}` computes them again"));
    Ok(Exit::Failed)
}
