//! Frees the outputs that no run needs any more.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};

use crate::base::clock;
use crate::runner::cache::cache::{Cache, Entry, Lookup, remove_if_there};
use crate::runner::error::RunError;
use crate::runner::project::Project;
use crate::runner::record::runs;
use crate::runner::sweep;

/// An item that was, or would be, removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    /// A description for people: the stage and the time of its output, or the kind of leftover.
    pub what: String,
    pub bytes: u64,
}

/// The age at which leftovers of interrupted writers are removed: longer than any writer pauses
/// between two writes.
const LEFTOVER_HOURS: i64 = 24;

/// Removes outputs that no run in `runs/` uses and that are older than `keep_days`, unfinished work
/// of that age, and the leftovers of damage and interruptions. With `dry_run`, only lists them.
pub fn collect(project: &Project, keep_days: u32, dry_run: bool) -> Result<Vec<Freed>, RunError> {
    let cache = Cache::new(project);
    let mut used = BTreeSet::new();
    for run in runs::list(project)? {
        used.extend(run.provenance.stages.iter().map(|stage| stage.key));
        // A sweep that is running, or was killed, has its list nowhere else.
        used.extend(sweep::keys_of_trials(&run.folder));
    }
    let now = clock::now_utc();
    let is_old = |moment: Timestamp, hours: i64| {
        now.duration_since(moment) > SignedDuration::from_hours(hours)
    };
    let keep_hours = i64::from(keep_days) * 24;
    let mut freed = Vec::new();
    for key in cache.keys()? {
        let folder = cache.folder(&key);
        let found = match cache.find(&key) {
            Lookup::Miss => cache.remains(&key).map_or(Lookup::Miss, Lookup::Hit),
            found => found,
        };
        let (what, since, keep) = match found {
            Lookup::Hit(_) if used.contains(&key) => continue,
            Lookup::Hit(Entry { done, .. }) => {
                let what =
                    format!("output of `{}` in `{}`, {}", done.stage, done.pipeline, done.created);
                (what, done.created.parse().ok(), keep_hours)
            }
            // No run can use it, whether or not one lists it.
            Lookup::Damaged(reason) if cache.is_ruined(&key) => (
                format!("damaged output {}: {reason}", key.short()),
                modified(&folder),
                LEFTOVER_HOURS,
            ),
            Lookup::Damaged(_) | Lookup::Miss => continue,
        };
        if !since.is_some_and(|since: Timestamp| is_old(since, keep)) {
            continue;
        }
        // If the lock is held, someone is computing this key, and the entry is in use again.
        let Some(_lock) = cache.lock_unless_used(&key)? else { continue };
        // Another process may have set it aside or recomputed it before we got the lock.
        let now_there = cache.remains(&key).map_or_else(|| cache.find(&key), Lookup::Hit);
        let is_same = |lookup| match lookup {
            Lookup::Hit(Entry { done, .. }) => done.created.parse().ok() == since,
            Lookup::Damaged(_) => cache.is_ruined(&key),
            Lookup::Miss => false,
        };
        if !is_same(now_there) {
            continue;
        }
        freed.push(Freed { what, bytes: size(&folder)? });
        if !dry_run {
            cache.remove(&key)?;
        }
    }
    for (key, folder) in cache.unfinished()? {
        if !modified(&folder).is_some_and(|moment| is_old(moment, keep_hours)) {
            continue;
        }
        let Some(_lock) = cache.lock_unless_used(&key)? else { continue };
        freed.push(Freed {
            what: format!("unfinished work {}", key.short()),
            bytes: size(&folder)?,
        });
        if !dry_run {
            remove_if_there(&folder)?;
        }
    }
    for folder in cache.leftovers()? {
        if !modified(&folder).is_some_and(|moment| is_old(moment, LEFTOVER_HOURS)) {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        freed.push(Freed { what: format!("leftover `{name}`"), bytes: size(&folder)? });
        if !dry_run {
            remove_if_there(&folder)?;
        }
    }
    Ok(freed)
}

fn modified(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// Returns the total size of all files below a folder.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            size(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}
