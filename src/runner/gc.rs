//! Frees the outputs that no run needs any more, and what interrupted work has left.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};

use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::files::TEMPORARY;
use crate::base::memo;
use crate::base::scratch;
use crate::runner::cache::cache::{Cache, remove_if_there};
use crate::runner::cache::entry::{Depth, Entry, Lookup};
use crate::runner::cache::lock::{CollectLock, KeyLock};
use crate::runner::error::RunError;
use crate::runner::project::Project;
use crate::runner::record::layout::{LOCK, TEMPORARY_LINK};
use crate::runner::record::run_folder::noted_keys;
use crate::runner::record::runs::{self, Run, Survey, Unreadable};
use crate::runner::replay::replay;
use crate::runner::sweep;

/// An item that was, or would be, removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    /// A description for people: the stage and the time of its output, or the kind of leftover.
    pub what: String,
    pub bytes: u64,
}

/// What a collection found.
#[derive(Debug, Default)]
pub struct Collected {
    pub freed: Vec<Freed>,
    /// Runs whose outputs are not known. They may use any, so none was removed.
    pub blocking: Vec<Unreadable>,
}

/// The age at which a damaged output is removed, so that there is time to look at it.
const DAMAGED_HOURS: i64 = 24;

/// Removes outputs that no run in `runs/` uses and that are older than `keep_days`, unfinished work
/// of that age, and the leftovers of damage and interruptions. With `dry_run`, only lists them, and
/// writes nothing.
pub fn collect(project: &Project, keep_days: u32, dry_run: bool) -> Result<Collected, RunError> {
    if !project.state().is_dir() {
        return Ok(Collected::default());
    }
    // Until it is freed, nobody begins to use an output or to write a file. So all that is found
    // half-written is left over.
    let alone = CollectLock::alone(&project.state(), !dry_run)?;
    let survey = runs::survey(project)?;
    let in_use = InUse::of(&survey);
    let mut work = Work {
        project,
        cache: Cache::new(project),
        now: clock::now_utc(),
        keep_hours: i64::from(keep_days) * 24,
        dry_run,
        freed: Vec::new(),
        doomed: Vec::new(),
    };
    work.leftovers(&survey, &in_use)?;
    // A run that cannot be read may use any output.
    if in_use.unreadable.is_empty() && survey.unreadable.is_empty() {
        work.outputs(&in_use)?;
    }
    work.unfinished(&in_use)?;
    let Work { freed, doomed, .. } = work;
    // They have lost their names, and others need not wait for the disk.
    drop(alone);
    doomed.iter().try_for_each(|folder| remove_if_there(folder))?;
    Ok(Collected {
        freed,
        blocking: in_use.unreadable.into_iter().chain(survey.unreadable).collect(),
    })
}

/// Removes the downloads that killed processes have left, which belong to no project. With
/// `dry_run`, only lists them.
pub fn collect_downloads(home: &Path, dry_run: bool) -> Result<Vec<Freed>, RunError> {
    let mut freed = Vec::new();
    for folder in scratch::leftovers(home)? {
        let what = format!("unfinished download `{}`", name(&folder));
        freed.push(Freed { what, bytes: size(&folder)? });
    }
    if !dry_run {
        scratch::clear(home)?;
    }
    Ok(freed)
}

/// What the runs of a project use.
struct InUse {
    keys: BTreeSet<Digest>,
    /// The keys of runs in progress, whose unfinished work is theirs too.
    living: BTreeSet<Digest>,
    is_sweeping: bool,
    /// Runs whose keys are not all known.
    unreadable: Vec<Unreadable>,
}

impl InUse {
    fn of(survey: &Survey) -> InUse {
        let mut found = InUse {
            keys: BTreeSet::new(),
            living: BTreeSet::new(),
            is_sweeping: false,
            unreadable: Vec::new(),
        };
        for run in &survey.runs {
            let mut keys: Vec<Digest> =
                run.provenance.stages.iter().map(|stage| stage.key).collect();
            // A sweep that is running, or was killed, has its list nowhere else.
            match noted_keys(&run.folder) {
                Ok(noted) => keys.extend(noted),
                Err(reason) => {
                    let reason = format!("the list of what it uses cannot be read: {reason}");
                    found.unreadable.push(Unreadable { folder: run.folder.clone(), reason });
                }
            }
            if is_living(run) {
                found.living.extend(&keys);
                found.is_sweeping |= run.provenance.sweep.is_some();
            }
            found.keys.extend(keys);
        }
        found
    }
}

/// Says whether a run is in progress. A run that is taken up again may still have its old status.
fn is_living(run: &Run) -> bool {
    KeyLock::is_held(&run.folder.join(LOCK))
}

/// A collection in progress.
struct Work<'a> {
    project: &'a Project,
    cache: Cache,
    now: Timestamp,
    keep_hours: i64,
    dry_run: bool,
    freed: Vec<Freed>,
    /// Folders that have lost their names, to be removed at the end.
    doomed: Vec<PathBuf>,
}

impl Work<'_> {
    fn is_old(&self, moment: Option<Timestamp>, hours: i64) -> bool {
        let age = |moment| self.now.duration_since(moment);
        moment.is_some_and(|moment| age(moment) > SignedDuration::from_hours(hours))
    }

    /// Removes the outputs that nobody uses.
    fn outputs(&mut self, in_use: &InUse) -> Result<(), RunError> {
        for key in self.cache.keys()? {
            let folder = self.cache.folder(&key);
            let (what, is_old) = match self.cache.find_any(&key, Depth::Sizes) {
                Lookup::Hit(_) if in_use.keys.contains(&key) => continue,
                Lookup::Hit(Entry { done, .. }) => {
                    let what = format!(
                        "output of `{}` in `{}`, {}",
                        done.stage, done.pipeline, done.created
                    );
                    (what, self.is_old(done.created.parse().ok(), self.keep_hours))
                }
                // The next run that needs it sets it aside.
                Lookup::Damaged(_) if in_use.keys.contains(&key) && !self.cache.is_ruined(&key) => {
                    continue;
                }
                Lookup::Damaged(reason) => (
                    format!("damaged output {}: {reason}", key.short()),
                    self.is_old(modified(&folder), DAMAGED_HOURS),
                ),
                Lookup::Miss | Lookup::Unreadable(_) => continue,
            };
            if !is_old || self.is_locked(&key)? {
                continue;
            }
            self.freed.push(Freed { what, bytes: size(&folder)? });
            if !self.dry_run {
                self.doomed.push(self.cache.doom(&key)?);
            }
        }
        Ok(())
    }

    /// Removes the unfinished work that nobody goes on with.
    fn unfinished(&mut self, in_use: &InUse) -> Result<(), RunError> {
        for (key, folder) in self.cache.unfinished()? {
            let is_old = self.is_old(modified(&folder), self.keep_hours);
            if in_use.living.contains(&key) || !is_old || self.is_locked(&key)? {
                continue;
            }
            // Held until it is gone, so that nobody begins to go on with it.
            let lock = self.cache.lock_file(&key);
            let _held = match self.dry_run {
                true => None,
                false => match KeyLock::try_acquire(&lock)? {
                    None => continue,
                    held => held,
                },
            };
            self.remove(format!("unfinished work {}", key.short()), &folder)?;
        }
        Ok(())
    }

    /// Removes what interrupted writers have left.
    fn leftovers(&mut self, survey: &Survey, in_use: &InUse) -> Result<(), RunError> {
        for folder in self.cache.leftovers()? {
            let is_temporary = name(&folder).starts_with(TEMPORARY);
            if is_temporary || self.is_old(modified(&folder), DAMAGED_HOURS) {
                self.leftover(&folder)?;
            }
        }
        let (state, runs) = (self.project.state(), self.project.runs());
        let failures = sweep::failures(self.project);
        for folder in [&state, &state.join("last"), &failures, &runs] {
            for path in children(folder)? {
                let is_left = name(&path).starts_with(TEMPORARY)
                    || (folder == &runs && name(&path).starts_with(TEMPORARY_LINK))
                    // A failure matters only to sweeps that ran at the time.
                    || (folder == &failures && !in_use.is_sweeping);
                if is_left {
                    self.leftover(&path)?;
                }
            }
        }
        for folder in replay::leftovers(self.project)? {
            self.leftover(&folder)?;
        }
        for run in survey.runs.iter().map(|run| &run.folder) {
            self.leftovers_of_run(run)?;
        }
        for folder in &survey.stillborn {
            if !KeyLock::is_held(&folder.join(LOCK)) {
                self.leftover(folder)?;
            }
        }
        if !self.dry_run {
            for path in children(&state.join("locks"))? {
                KeyLock::remove_unless_held(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the half-written files in the folder of a run that is not in progress.
    fn leftovers_of_run(&mut self, run: &Path) -> Result<(), RunError> {
        if KeyLock::is_held(&run.join(LOCK)) {
            return Ok(());
        }
        let trials = children(&run.join("trials"))?;
        for folder in std::iter::once(run).chain(trials.iter().map(PathBuf::as_path)) {
            for path in children(folder)? {
                if name(&path).starts_with(TEMPORARY) {
                    self.leftover(&path)?;
                }
            }
        }
        Ok(())
    }

    fn leftover(&mut self, path: &Path) -> Result<(), RunError> {
        self.remove(format!("leftover `{}`", name(path)), path)
    }

    fn remove(&mut self, what: String, path: &Path) -> Result<(), RunError> {
        self.freed.push(Freed { what, bytes: size(path)? });
        if self.dry_run {
            return Ok(());
        }
        unless_gone(match path.is_symlink() || !path.is_dir() {
            true => fs::remove_file(path),
            false => remove_if_there(path),
        })?;
        Ok(())
    }

    /// Says whether someone is computing a key.
    fn is_locked(&self, key: &Digest) -> io::Result<bool> {
        Ok(KeyLock::is_held(&self.cache.lock_file(key)))
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Lists what is in a folder, sorted; nothing if there is no such folder.
fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        found.push(entry?.path());
    }
    found.sort();
    Ok(found)
}

fn modified(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// Returns the total size of a file, or of all files below a folder. Links are not followed, each
/// of several names of a file counts for its share, and what another collection removes meanwhile
/// counts as 0.
fn size(path: &Path) -> io::Result<u64> {
    let measured = || {
        let about = fs::symlink_metadata(path)?;
        match about.is_dir() {
            true => children(path)?.iter().map(|child| size(child)).sum(),
            false => Ok(about.len() / memo::names(path)?),
        }
    };
    unless_gone(measured()).map(Option::unwrap_or_default)
}

/// Turns the error of something that is no longer there into `None`.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
