//! `pipe validate`: checks a pipeline file without running anything.

use super::args::FileArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::open;
use super::printer::Printer;

/// Checks a pipeline file.
pub fn validate(args: &FileArgs, printer: &Printer) -> Result<Exit, Failure> {
    let (spec, plan) = open::file(args)?;
    open::warn_of_idle(&spec, &plan, printer);
    printer.status(&format!("`{}` is valid: {} stages", args.file.display(), plan.steps.len()));
    Ok(Exit::Success)
}
