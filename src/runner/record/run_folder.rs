//! The folder of a run: `runs/<utc>-<name>-<hex>/`.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::layout::{
    COUNT, EVENTS, KEYS, LATEST, LOCK, PIPELINE, PROVENANCE, RESOLVED, TEMPORARY_LINK,
};
use super::provenance::{Provenance, Status};
use super::runs;
use crate::base::chain::chain;
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::digests;
use crate::base::files::{AtomicFiles, write_atomic};
use crate::base::lock::locked;
use crate::base::sealed;
use crate::runner::cache::lock::{CollectLock, KeyLock};
use crate::runner::observer::{Event, Observer};
use crate::runner::project::Project;

/// The folder of a run in progress. The status in `provenance.json` distinguishes it from a
/// finished one.
#[derive(Debug)]
pub struct RunFolder {
    pub id: String,
    pub path: PathBuf,
    state: PathBuf,
    events: Mutex<fs::File>,
    /// The keys that were noted.
    used: Mutex<BTreeSet<Digest>>,
    _lock: Option<KeyLock>,
}

impl RunFolder {
    /// Creates the folder with `pipeline.yaml`, `resolved.yaml`, an empty `events.jsonl`, and the
    /// record that `about` gives for the run's name and number. From then on `gc` spares what the
    /// record names.
    pub fn create(
        project: &Project,
        name: &str,
        source: &str,
        resolved: &str,
        about: impl FnOnce(&str, u64) -> Provenance,
    ) -> io::Result<(RunFolder, Provenance)> {
        let runs = project.runs();
        fs::create_dir_all(&runs)?;
        let _writing = CollectLock::shared(&project.state())?;
        let number = next_number(project)?;
        let (id, path) = unused(&runs, name)?;
        let lock = KeyLock::acquire_soon(&path.join(LOCK))?;
        write_sources(&path, source, resolved)?;
        let provenance = about(&id, number);
        let folder = RunFolder::opened(project, &path, &id, lock)?;
        folder.write_first(&provenance)?;
        Ok((folder, provenance))
    }

    /// Opens the folder of an earlier attempt to continue in it; `None` if another process is using
    /// it.
    pub fn reopen(
        project: &Project,
        path: &Path,
        id: &str,
        source: &str,
        resolved: &str,
    ) -> io::Result<Option<RunFolder>> {
        let Some(lock) = KeyLock::acquire_soon(&path.join(LOCK))? else { return Ok(None) };
        let _writing = CollectLock::shared(&project.state())?;
        if [PIPELINE, RESOLVED].iter().any(|name| digests::read(&path.join(name)).is_err()) {
            write_sources(path, source, resolved)?;
        }
        RunFolder::opened(project, path, id, Some(lock)).map(Some)
    }

    fn opened(
        project: &Project,
        path: &Path,
        id: &str,
        lock: Option<KeyLock>,
    ) -> io::Result<RunFolder> {
        let append =
            |name: &str| fs::OpenOptions::new().create(true).append(true).open(path.join(name));
        Ok(RunFolder {
            id: id.to_owned(),
            path: path.to_owned(),
            state: project.state(),
            events: Mutex::new(append(EVENTS)?),
            used: Mutex::default(),
            _lock: lock,
        })
    }

    /// Notes keys that the run is about to use and that its record does not name yet. From then on
    /// `gc` spares them.
    pub fn uses(&self, keys: impl IntoIterator<Item = Digest>) -> io::Result<()> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Digest> = keys.into_iter().filter(|key| !used.contains(key)).collect();
        if new.is_empty() {
            return Ok(());
        }
        // A killed process may have left a part of a line.
        let mut lines = if used.is_empty() { "\n".to_owned() } else { String::new() };
        new.iter().for_each(|key| lines.push_str(&format!("{key}\n")));
        let _writing = CollectLock::shared(&self.state)?;
        // A folder that was removed meanwhile is made again, as for its tables.
        fs::create_dir_all(&self.path)?;
        let file = self.path.join(KEYS);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
        file.write_all(lines.as_bytes())?;
        used.extend(new);
        Ok(())
    }

    /// Leaves of the noted keys those of this attempt alone, after its record was written.
    pub fn forget_others(&self) -> io::Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: String = used.iter().map(|key| format!("{key}\n")).collect();
        let _writing = CollectLock::shared(&self.state)?;
        write_atomic(&self.path.join(KEYS), lines.as_bytes())
    }

    /// Writes `provenance.json`, whole or not at all.
    pub fn write_provenance(&self, provenance: &Provenance) -> io::Result<()> {
        let _writing = CollectLock::shared(&self.state)?;
        self.write_first(provenance)
    }

    fn write_first(&self, provenance: &Provenance) -> io::Result<()> {
        write_atomic(&self.path.join(PROVENANCE), &sealed::seal(provenance)?)
    }

    /// Records that the run ended with an error of its own, if the disk still allows it.
    pub fn give_up(&self, provenance: &Provenance, error: &(dyn Error + 'static)) {
        let ended = Provenance {
            status: Status::Failed,
            error: Some(chain(error)),
            finished: Some(clock::text(clock::now_utc())),
            ..provenance.clone()
        };
        // The error itself is shown in any case.
        let _ = self.write_provenance(&ended);
    }
}

fn write_sources(folder: &Path, source: &str, resolved: &str) -> io::Result<()> {
    let mut files = AtomicFiles::new(folder);
    files.add(PIPELINE, source.as_bytes())?;
    files.add(RESOLVED, resolved.as_bytes())?;
    files.add_digests()?;
    files.commit()
}

/// Returns the keys that [`RunFolder::uses`] noted in a run's folder.
///
/// # Errors
///
/// Fails where the file cannot be read, or holds something else.
pub fn noted_keys(run: &Path) -> Result<Vec<Digest>, String> {
    match fs::read_to_string(run.join(KEYS)) {
        // A killed process may have written a part of a line, before it used the key.
        Ok(text) => {
            const DIGITS: usize = 64;
            let is_whole = |line: &&str| line.len() >= DIGITS;
            text.lines().filter(is_whole).map(|line| line.parse()).collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns one more than the highest number of a run so far. Clocks of several machines, or one
/// that was set back, cannot put runs in order.
fn next_number(project: &Project) -> io::Result<u64> {
    let file = project.runs().join(COUNT);
    locked(&file, || {
        let known = fs::read(&file).ok().and_then(|bytes| sealed::open::<Count>(&bytes).ok());
        let last = known.map_or_else(|| runs::highest_number(project), |count| count.last);
        // The file is the lock, so it keeps its place. A damaged one is made from the runs.
        fs::write(&file, sealed::seal(&Count { last: last + 1 })?)?;
        Ok(last + 1)
    })?
}

/// The content of the file that numbers runs.
#[derive(Debug, Serialize, Deserialize)]
struct Count {
    last: u64,
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
/// where links were followed, and then the newest run is the one that started last. Where the link
/// cannot be replaced, the run is whole all the same: this is a warning.
pub(in crate::runner) fn link_latest(project: &Project, id: &str, observer: &dyn Observer) {
    if let Err(error) = try_link_latest(project, id) {
        let line =
            format!("the link still names another run, since it cannot be replaced: {error}");
        observer.event(&Event::Warning { task: "runs/latest", line: &line });
    }
}

fn try_link_latest(project: &Project, id: &str) -> io::Result<()> {
    #[cfg(unix)]
    {
        let runs = project.runs();
        if fs::read_link(runs.join(LATEST)).is_ok_and(|target| target == Path::new(id)) {
            return Ok(());
        }
        let _writing = CollectLock::shared(&project.state())?;
        let is_folder = fs::symlink_metadata(runs.join(LATEST)).is_ok_and(|about| about.is_dir());
        if is_folder {
            return Ok(());
        }
        let temporary = runs.join(format!("{TEMPORARY_LINK}{}", std::process::id()));
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
