//! The runs of a project.

use std::cmp::Reverse;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::layout::{EVENTS, KEYS, LOCK, PIPELINE, PROVENANCE, RESOLVED, latest};
use super::provenance::{Provenance, Status};
use crate::base::chain::chain;
use crate::base::digests::{self, Digests};
use crate::base::files::TEMPORARY;
use crate::base::sealed::{self, Broken};
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
    /// Says whether a folder has the record of a run.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(PROVENANCE).is_file()
    }

    /// Reads a run's folder.
    pub fn open(folder: &Path) -> Result<Run, RunError> {
        let file = folder.join(PROVENANCE);
        let provenance = read(&fs::read(&file)?)
            .map_err(|reason| RunError::Damaged { file: file.display().to_string(), reason })?;
        Ok(Run { folder: folder.to_owned(), provenance })
    }

    /// Returns the project of the run's folder.
    pub fn project(&self) -> Project {
        let folder = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
        Project::of_folder(&folder)
    }

    /// Returns the subcommand that made the run.
    pub fn verb(&self) -> &'static str {
        if self.provenance.sweep.is_some() { "sweep" } else { "run" }
    }

    /// Returns the folders of the run that have a list of digests: its own, and those of trials.
    /// Runs of earlier versions have none.
    pub fn folders_with_digests(&self) -> io::Result<Vec<PathBuf>> {
        let trials = self.folder.join("trials");
        let mut folders = vec![self.folder.clone()];
        if trials.is_dir() {
            for entry in fs::read_dir(&trials)? {
                folders.push(entry?.path());
            }
        }
        folders.retain(|folder| folder.join(digests::FILE).exists());
        // Trial 10 comes after trial 9.
        let number = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u64>().ok();
        folders.sort_by_key(number);
        Ok(folders)
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

/// Names the files of a folder that have changed since they were written; `None` where there is no
/// list of their digests, as in runs of earlier versions.
pub fn changed_files(folder: &Path) -> Option<Vec<String>> {
    match Digests::read(folder) {
        Ok(None) => None,
        Ok(Some(digests)) => Some(digests.changed(folder).into_iter().map(str::to_owned).collect()),
        Err(_) => Some(vec![digests::FILE.to_owned()]),
    }
}

/// Reads a record, sealed since its second layout.
fn read(bytes: &[u8]) -> Result<Provenance, String> {
    match sealed::open(bytes) {
        Err(Broken::Unsealed) => {
            let old: Provenance =
                serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            match old.format {
                1 => Ok(old),
                _ => Err(Broken::Changed.to_string()),
            }
        }
        read => read.map_err(|error| error.to_string()),
    }
}

/// The folders of a project's runs.
#[derive(Debug, Default)]
pub struct Survey {
    /// Newest first.
    pub runs: Vec<Run>,
    /// Folders that look like a run and cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Folders of runs that were killed before they began.
    pub stillborn: Vec<PathBuf>,
}

/// A folder that looks like a run and cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    pub folder: PathBuf,
    pub reason: String,
}

/// Looks at all folders of runs. A run that lies in several folders, such as a copy of the link
/// `latest`, is listed once.
pub fn survey(project: &Project) -> Result<Survey, RunError> {
    let folder = project.runs();
    let mut found = Survey::default();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        // The link `latest` is not a run itself; a link to a folder elsewhere may be one.
        let is_latest = kind.is_symlink() && is_link_to_a_run(&path);
        if is_latest || !(kind.is_dir() || kind.is_symlink()) {
            continue;
        }
        match Run::open(&path) {
            Ok(run) => found.runs.push(run),
            Err(RunError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                match traces(&path) {
                    Traces::None => {}
                    Traces::Begun => found.stillborn.push(path),
                    Traces::Worked => found.unreadable.push(Unreadable {
                        folder: path,
                        reason: format!("it has no `{PROVENANCE}`"),
                    }),
                }
            }
            Err(error) => {
                found.unreadable.push(Unreadable { folder: path, reason: chain(&error) });
            }
        }
    }
    let is_copy =
        |run: &Run| run.folder.file_name().is_none_or(|name| *name != *run.provenance.run);
    let runs = &mut found.runs;
    runs.sort_by_cached_key(|run| {
        let about = &run.provenance;
        let age = Reverse((about.number, about.started.clone(), about.run.clone()));
        (age, is_copy(run), run.folder.clone())
    });
    runs.dedup_by(|later, earlier| later.provenance.run == earlier.provenance.run);
    found.unreadable.sort_by(|one, other| one.folder.cmp(&other.folder));
    Ok(found)
}

/// Says whether a link below `runs` names a folder beside itself, as `latest` does, or is about to.
fn is_link_to_a_run(link: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target.components().count() == 1)
}

/// What a folder without a record holds.
enum Traces {
    /// Nothing of a run.
    None,
    /// What a run writes first.
    Begun,
    /// What it writes later.
    Worked,
}

fn traces(folder: &Path) -> Traces {
    let has = |name: &str| folder.join(name).exists();
    if fs::symlink_metadata(folder).is_ok_and(|about| about.is_symlink()) && !folder.exists() {
        // A link that leads nowhere now, such as to a disk that is not mounted.
        return Traces::Worked;
    }
    if ![LOCK, EVENTS, KEYS].into_iter().any(has) {
        return Traces::None;
    }
    // What is written before the record, and nothing that happened since.
    let is_first = |name: &str| {
        [LOCK, PIPELINE, RESOLVED, digests::FILE, EVENTS].contains(&name)
            || name.starts_with(TEMPORARY)
    };
    let names = fs::read_dir(folder).into_iter().flatten();
    let only_first = names
        .into_iter()
        .all(|entry| entry.is_ok_and(|entry| is_first(&entry.file_name().to_string_lossy())));
    let is_silent = fs::metadata(folder.join(EVENTS)).map_or(true, |about| about.len() == 0);
    if only_first && is_silent { Traces::Begun } else { Traces::Worked }
}

/// Lists the runs of a project that can be read, newest first.
pub fn list(project: &Project) -> Result<Vec<Run>, RunError> {
    Ok(survey(project)?.runs)
}

/// Returns the highest number of a run; 0 without runs.
pub(super) fn highest_number(project: &Project) -> u64 {
    let runs = list(project).unwrap_or_default();
    runs.iter().map(|run| run.provenance.number).max().unwrap_or(0)
}

/// Finds a run by its folder, its name, the name of its pipeline (the newest run of it), or the
/// start or end of its name; without a name, the latest.
pub fn find(project: &Project, name: Option<&str>) -> Result<Run, RunError> {
    let latest = || match latest(project).filter(|folder| Run::is_in(folder)) {
        Some(folder) => Run::open(&folder).map(Some),
        // The link leads nowhere, as after its run was removed.
        None => Ok(None),
    };
    let Some(name) = name.filter(|name| *name != "latest") else {
        let found = match latest()? {
            Some(run) => Some(run),
            None => list(project)?.into_iter().next(),
        };
        return found.ok_or_else(|| no_run(project, "latest", &[]));
    };
    let folder = Path::new(name);
    if folder.join(PROVENANCE).is_file() {
        return Run::open(folder);
    }
    let Survey { mut runs, unreadable, .. } = survey(project)?;
    if let Some(index) = runs.iter().position(|run| run.provenance.run == name) {
        return Ok(runs.swap_remove(index));
    }
    let newest = latest().ok().flatten().into_iter().find(|run| run.provenance.name == name);
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
        [] => match unreadable.into_iter().find(|run| is_called(&run.folder, name)) {
            Some(Unreadable { folder, reason }) => {
                Err(RunError::Damaged { file: folder.display().to_string(), reason })
            }
            None => Err(no_run(project, name, &runs)),
        },
        _ => Err(RunError::ManyRuns {
            name: name.to_owned(),
            found: found.iter().take(5).map(|run| format!("`{}`", run.provenance.run)).collect(),
        }),
    }
}

fn is_called(folder: &Path, name: &str) -> bool {
    let own = folder.file_name().unwrap_or_default().to_string_lossy();
    own.starts_with(name) || own.ends_with(name)
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
