//! Reading, overriding, interpolating and typing a pipeline file.

use std::path::Path;

use super::{Override, Spec, SpecError};

/// Reads a pipeline file; on failure returns every problem of the file, each with its place.
pub fn load(_path: &Path, _overrides: &[Override]) -> Result<Spec, SpecError> {
    unimplemented!()
}
