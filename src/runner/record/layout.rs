//! The names of the files in a run's folder, and those beside it.

use std::path::PathBuf;

use fs_err as fs;

use crate::runner::project::Project;

pub(in crate::runner) const PROVENANCE: &str = "provenance.json";
/// Held while the run is in progress, so that others can distinguish a running run from a killed
/// one.
pub(in crate::runner) const LOCK: &str = ".lock";
/// The keys that a sweep uses, one in a line, from before it looks for them.
pub(super) const KEYS: &str = "keys.txt";
/// What happened, one event in a line.
pub(super) const EVENTS: &str = "events.jsonl";
/// The pipeline file as it was read, and with all defaults filled in.
pub(in crate::runner) const PIPELINE: &str = "pipeline.yaml";
pub(in crate::runner) const RESOLVED: &str = "resolved.yaml";
/// The link to the newest run.
pub(super) const LATEST: &str = "latest";
/// What the names of links begin with that are about to become [`LATEST`].
pub(in crate::runner) const TEMPORARY_LINK: &str = ".latest-";
/// The number of the newest run.
pub(super) const COUNT: &str = ".count";

/// Returns the target of `runs/latest`.
pub(super) fn latest(project: &Project) -> Option<PathBuf> {
    let target = fs::read_link(project.runs().join(LATEST)).ok()?;
    Some(project.runs().join(target))
}
