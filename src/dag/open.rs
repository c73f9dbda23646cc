//! Reading and checking a pipeline file, its sweep included.

use std::path::Path;

use super::plan::{Plan, finish};
use super::{sweep_rules, trials};
use crate::pipeline::{Draft, Override, Spec, SpecError};

/// Reads and checks a pipeline file; on failure returns all problems in the file and between its
/// stages.
pub fn open(path: &Path, overrides: &[Override]) -> Result<(Spec, Plan), SpecError> {
    let (spec, plan) = finish(Draft::read(path, overrides)?)?;
    let problems = spec.sweep.as_ref().map_or_else(Vec::new, |sweep| {
        let mut problems = trials::check_values(&spec, sweep);
        problems.extend(sweep_rules::check_order(&spec, sweep));
        problems
    });
    if problems.is_empty() { Ok((spec, plan)) } else { Err(spec.error(problems)) }
}

/// Reads and checks the text of a pipeline that was run before, whose file may have changed since.
/// `path` is that of the file.
pub fn reopen(
    path: &Path,
    text: String,
    overrides: &[Override],
) -> Result<(Spec, Plan), SpecError> {
    finish(Draft::parse(path, text, overrides)?)
}

/// Checks that all that a sweep and the command line beside it set makes a difference.
pub fn check_reach(spec: &Spec) -> Result<(), SpecError> {
    let problems =
        spec.sweep.as_ref().map_or_else(Vec::new, |sweep| sweep_rules::check_reach(spec, sweep));
    if problems.is_empty() { Ok(()) } else { Err(spec.error(problems)) }
}
