//! Reading, overriding, interpolating and typing a pipeline file.

use std::path::Path;

use super::draft::Draft;
use super::problem::error::SpecError;
use super::resolve::overrides::Override;
use super::spec::Spec;

/// Reads a pipeline file; on failure returns every problem of the file, each with its place.
///
/// Problems between stages (unknown inputs, cycles, ...) are not checked: [`crate::dag::open()`]
/// does both at once.
pub fn load(path: &Path, overrides: &[Override]) -> Result<Spec, SpecError> {
    Draft::read(path, overrides)?.finish(Vec::new())
}
