//! `pipe why`: explains why a stage would run or is cached.

use std::collections::BTreeSet;

use super::args::WhyArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::open::{self, Manner};
use super::printer::Printer;
use crate::base::seed::redrawn;
use crate::pipeline::Spec;
use crate::runner::Prepared;
use crate::runner::explain::{Change, Reason};

/// Explains why a stage would run or is cached, following changed inputs upstream.
pub fn why(args: &WhyArgs, printer: &Printer) -> Result<Exit, Failure> {
    open::check_reach(&args.file, &args.keys)?;
    let (spec, plan) = open::file(&args.file)?;
    let stage = open::stage(&plan, &args.stage)?;
    let prepared = open::keys(&spec, &plan, &args.keys, Manner::default(), printer)?;
    let mut text = String::new();
    let mut told = BTreeSet::new();
    if let Some(job) = prepared.jobs.iter().position(|job| job.id == stage.0) {
        for &seed in &prepared.tasks.seeds {
            explain(&prepared, &spec, job, seed, 0, &mut told, &mut text);
        }
    }
    printer.text(text)
}

/// Writes the reason for one stage and one seed, then the reasons of its changed inputs, indented
/// below it.
fn explain(
    prepared: &Prepared<'_>,
    spec: &Spec,
    job: usize,
    seed: u64,
    depth: usize,
    told: &mut BTreeSet<usize>,
    text: &mut String,
) {
    let Some(index) = prepared.tasks.index(job, seed) else { return };
    if !told.insert(index) {
        return;
    }
    let task = &prepared.tasks.all[index];
    let indent = "  ".repeat(depth);
    let label = &task.label;
    let mut line = |content: String| {
        text.push_str(&indent);
        text.push_str(&content);
        text.push('\n');
    };
    let id = &prepared.jobs[job].id;
    let reason = prepared.reason(job, seed, index);
    let key = task.key.short();
    let changes = match reason {
        Reason::Cached => {
            return line(format!("`{label}` would not run: its output is cached (key {key})"));
        }
        Reason::Changed(changes) => changes,
        other => return line(format!("`{label}` would run: {other} (key {key})")),
    };
    let before = prepared.ledger.last(id, seed).map_or("none".to_owned(), |last| last.key.short());
    line(format!("`{label}` would run: its key changed from {before} to {key}"));
    for change in &changes {
        match change {
            Change::Config { key, .. } => {
                let kind = prepared.jobs[job].kind_name;
                let place = spec
                    .locate(&format!("stages.{id}.{kind}.{key}"))
                    .map_or(String::new(), |place| {
                        format!(" ({}:{}:{})", spec.path.display(), place.line, place.column)
                    });
                line(format!("  {change}{place}"));
            }
            _ => line(format!("  {change}")),
        }
    }
    for change in &changes {
        let Change::Input { field, .. } = change else { continue };
        let mut inputs = prepared.jobs[job].inputs.iter();
        if let Some(input) = inputs.find(|input| input.field == field) {
            let seed = redrawn(seed, input.draw);
            explain(prepared, spec, input.step, seed, depth + 1, told, text);
        }
    }
}
