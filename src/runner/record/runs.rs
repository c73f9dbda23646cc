//! The runs of a project.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::provenance::{Provenance, Status};
use super::run_folder::{LOCK, PROVENANCE, latest};
use crate::pipeline::problem::suggest;
use crate::runner::cache::lock::KeyLock;
use crate::runner::error::RunError;
use crate::runner::project::Project;

/// A run on the disk, in any state.
#[derive(Clone, Debug)]
pub struct Run {
    pub folder: PathBuf,
    pub provenance: Provenance,
}

impl Run {
    /// Reads a run's folder.
    pub fn open(folder: &Path) -> Result<Run, RunError> {
        let file = folder.join(PROVENANCE);
        let provenance = serde_json::from_slice(&fs::read(&file)?).map_err(|error| {
            RunError::Damaged { file: file.display().to_string(), reason: error.to_string() }
        })?;
        Ok(Run { folder: folder.to_owned(), provenance })
    }

    /// Returns the subcommand that made the run.
    pub fn verb(&self) -> &'static str {
        if self.provenance.sweep.is_some() { "sweep" } else { "run" }
    }

    /// Returns the displayed state; a run whose process ended without a final status is `killed`.
    pub fn status(&self) -> &'static str {
        if self.provenance.status != Status::Running {
            return self.provenance.status.name();
        }
        let lock = self.folder.join(LOCK);
        let alive = lock.exists() && matches!(KeyLock::acquire_soon(&lock), Ok(None));
        if alive { Status::Running.name() } else { "killed" }
    }
}

/// Lists the runs of a project, newest first. Folders without a readable `provenance.json` are
/// skipped. A run that lies in several folders, such as a copy of the link `latest`, is listed
/// once.
pub fn list(project: &Project) -> Result<Vec<Run>, RunError> {
    let folder = project.runs();
    let mut runs: Vec<Run> = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // The link `latest` is not a run itself.
            if entry.file_type()?.is_dir() {
                runs.extend(Run::open(&entry.path()));
            }
        }
    }
    let is_copy =
        |run: &Run| run.folder.file_name().is_none_or(|name| *name != *run.provenance.run);
    runs.sort_by_cached_key(|run| {
        let about = &run.provenance;
        (Reverse((about.started.clone(), about.run.clone())), is_copy(run), run.folder.clone())
    });
    runs.dedup_by(|later, earlier| later.provenance.run == earlier.provenance.run);
    Ok(runs)
}

/// Finds a run by its folder, its name, the name of its pipeline (the newest run of it), or the
/// start or end of its name; without a name, the latest.
pub fn find(project: &Project, name: Option<&str>) -> Result<Run, RunError> {
    let latest = || latest(project).and_then(|folder| Run::open(&folder).ok());
    let Some(name) = name.filter(|name| *name != "latest") else {
        let found = match latest() {
            Some(run) => Some(run),
            None => list(project)?.into_iter().next(),
        };
        return found.ok_or_else(|| no_run(project, "latest", &[]));
    };
    let folder = Path::new(name);
    if folder.join(PROVENANCE).is_file() {
        return Run::open(folder);
    }
    let mut runs = list(project)?;
    if let Some(index) = runs.iter().position(|run| run.provenance.run == name) {
        return Ok(runs.swap_remove(index));
    }
    let newest = latest().into_iter().find(|run| run.provenance.name == name);
    if let Some(run) = newest.or_else(|| {
        let place = runs.iter().position(|run| run.provenance.name == name)?;
        Some(runs[place].clone())
    }) {
        return Ok(run);
    }
    let matches =
        |run: &&Run| run.provenance.run.starts_with(name) || run.provenance.run.ends_with(name);
    let found: Vec<&Run> = runs.iter().filter(matches).collect();
    match found[..] {
        [run] => Ok(run.clone()),
        [] => Err(no_run(project, name, &runs)),
        _ => Err(RunError::ManyRuns {
            name: name.to_owned(),
            found: found.iter().take(5).map(|run| format!("`{}`", run.provenance.run)).collect(),
        }),
    }
}

fn no_run(project: &Project, name: &str, runs: &[Run]) -> RunError {
    let names = runs.iter().map(|run| run.provenance.name.as_str());
    let hint = match (suggest::nearest(name, names), runs.first()) {
        (Some(near), _) => {
            format!("did you mean `{near}`, the newest run of that pipeline?")
        }
        (None, Some(newest)) => {
            format!("the newest is `{}`; `pipe ls` lists them all", newest.provenance.run)
        }
        (None, None) => "`pipe run FILE` creates one".to_owned(),
    };
    RunError::NoRun { name: name.to_owned(), folder: project.runs().display().to_string(), hint }
}
