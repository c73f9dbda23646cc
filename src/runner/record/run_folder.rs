//! The folder of a run: `runs/<utc>-<name>-<hex>/`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use serde_json::{Value, json};

use super::provenance::Provenance;
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::files::write_atomic;
use crate::runner::cache::lock::KeyLock;
use crate::runner::observer::{Event, Observer};
use crate::runner::project::Project;

pub(in crate::runner) const PROVENANCE: &str = "provenance.json";
/// Held while the run is in progress, so that others can distinguish a running run from a killed
/// one.
pub(in crate::runner) const LOCK: &str = ".lock";
pub(super) const LATEST: &str = "latest";

/// The folder of a run in progress. The status in `provenance.json` distinguishes it from a
/// finished one.
#[derive(Debug)]
pub struct RunFolder {
    pub id: String,
    pub path: PathBuf,
    events: Mutex<fs::File>,
    _lock: Option<KeyLock>,
}

impl RunFolder {
    /// Creates the folder with `pipeline.yaml`, `resolved.yaml` and an empty `events.jsonl`.
    pub fn create(
        project: &Project,
        name: &str,
        source: &str,
        resolved: &str,
    ) -> io::Result<RunFolder> {
        let runs = project.runs();
        fs::create_dir_all(&runs)?;
        let (id, path) = unused(&runs, name)?;
        let lock = KeyLock::acquire_soon(&path.join(LOCK))?;
        write_atomic(&path.join("pipeline.yaml"), source.as_bytes())?;
        write_atomic(&path.join("resolved.yaml"), resolved.as_bytes())?;
        let events =
            fs::OpenOptions::new().create(true).append(true).open(path.join("events.jsonl"))?;
        Ok(RunFolder { id, path, events: Mutex::new(events), _lock: lock })
    }

    /// Opens the folder of an earlier attempt to continue in it; `None` if another process is using
    /// it.
    pub fn reopen(path: &Path, id: &str) -> io::Result<Option<RunFolder>> {
        let Some(lock) = KeyLock::acquire_soon(&path.join(LOCK))? else { return Ok(None) };
        let events =
            fs::OpenOptions::new().create(true).append(true).open(path.join("events.jsonl"))?;
        let (id, path) = (id.to_owned(), path.to_owned());
        Ok(Some(RunFolder { id, path, events: Mutex::new(events), _lock: Some(lock) }))
    }

    /// Writes `provenance.json`, whole or not at all.
    pub fn write_provenance(&self, provenance: &Provenance) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(provenance)?;
        bytes.push(b'\n');
        write_atomic(&self.path.join(PROVENANCE), &bytes)
    }
}

impl Observer for RunFolder {
    /// Appends the event to `events.jsonl` with one write, so that a kill leaves whole lines.
    fn event(&self, event: &Event<'_>) {
        // A resumed sweep would log all its cached work each time.
        if matches!(
            event,
            Event::CellStarted { .. }
                | Event::CellFinished { .. }
                | Event::TrialFinished { cached: true, .. }
        ) {
            return;
        }
        let Ok(Value::Object(fields)) = serde_json::to_value(event) else { return };
        let mut line = json!({ "time": clock::text(clock::now_utc()) });
        if let Value::Object(map) = &mut line {
            map.extend(fields);
        }
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // The log is for people. More important writes will report a full disk.
        let _ = events.write_all(format!("{line}\n").as_bytes());
        let _ = events.flush();
    }
}

/// Points `runs/latest` to a run, atomically. A folder of that name stays: it is the copy of a run
/// where links were followed, and then the newest run is the one that started last.
pub(in crate::runner) fn link_latest(project: &Project, id: &str) -> io::Result<()> {
    #[cfg(unix)]
    {
        let runs = project.runs();
        let is_folder = fs::symlink_metadata(runs.join(LATEST)).is_ok_and(|about| about.is_dir());
        if is_folder {
            return Ok(());
        }
        let temporary = runs.join(format!(".{LATEST}-{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        fs_err::os::unix::fs::symlink(id, &temporary)?;
        let latest = runs.join(LATEST);
        fs::rename(&temporary, &latest).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
    }
    #[cfg(not(unix))]
    let _ = (project, id);
    Ok(())
}

/// Returns the target of `runs/latest`.
pub(in crate::runner) fn latest(project: &Project) -> Option<PathBuf> {
    let target = fs::read_link(project.runs().join(LATEST)).ok()?;
    Some(project.runs().join(target))
}

/// Creates a folder with a unique name.
fn unused(runs: &Path, name: &str) -> io::Result<(String, PathBuf)> {
    let mut attempt = 0u32;
    loop {
        let now = clock::now_utc();
        let seed = format!("{now} {} {attempt}", std::process::id());
        // The milliseconds come first, so that names sort by time within a second too.
        let chance = &Digest::of(seed.as_bytes()).to_string()[..3];
        let id = format!("{}-{name}-{:03x}{chance}", clock::compact(now), clock::millisecond(now));
        let path = runs.join(&id);
        match fs::create_dir(&path) {
            Ok(()) => return Ok((id, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                attempt += 1
            }
            Err(error) => return Err(error),
        }
    }
}
