//! Reads the results that the user names: runs, trials of a sweep, and files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::base::digest::Digest;
use crate::base::digests;
use crate::data::{TableError, predictions};
use crate::results::compare::Source;
use crate::results::results::ResultTable;
use crate::runner::Project;
use crate::runner::record::runs;

const RESULTS: [&str; 2] = ["results.parquet", "results.csv"];
/// The folder of a sweep's trials in its run's folder.
const TRIALS: &str = "trials";

/// Reads all named sources, in order.
pub fn read(names: &[String]) -> Result<Vec<Source>, Failure> {
    names.iter().map(|name| source(name)).collect()
}

fn source(name: &str) -> Result<Source, Failure> {
    let path = Path::new(name);
    let is_table = path.extension().is_some_and(|ending| ending == "parquet" || ending == "csv");
    if path.is_file() || is_table {
        return of_file(name, path);
    }
    if results_in(path).is_some() {
        return of_folder(name, path);
    }
    match trial(name) {
        Some((run, trial)) => of_trial(name, run, trial),
        None => {
            let run = runs::find(&Project::here()?, Some(name))?;
            if results_in(&run.folder).is_some() {
                return of_folder(&run.provenance.run, &run.folder);
            }
            let about = &run.provenance;
            let hint = Some(format!("`pipe run {}` resumes it", about.pipeline));
            Err(Failure::usage(
                format!("run `{}` has no results: it is {}", about.run, run.status()),
                hint,
            ))
        }
    }
}

/// Returns the run and the trial of `RUN/trials/3`.
fn trial(name: &str) -> Option<(&str, u64)> {
    let (run, trial) = name.trim_end_matches('/').rsplit_once('/')?;
    let run = run.strip_suffix(TRIALS)?.strip_suffix('/')?;
    Some((run, trial.parse().ok()?))
}

fn of_trial(name: &str, run: &str, trial: u64) -> Result<Source, Failure> {
    let run = runs::find(&Project::here()?, Some(run))?;
    let folder = run.folder.join(TRIALS);
    let own = folder.join(trial.to_string());
    if results_in(&own).is_some() {
        return of_folder(&format!("{}/{TRIALS}/{trial}", run.provenance.run), &own);
    }
    let found: BTreeSet<u64> = match fs_err::read_dir(&folder) {
        Ok(entries) => {
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
        }
        Err(_) => BTreeSet::new(),
    };
    let hint = match (found.first(), found.last()) {
        (Some(first), Some(last)) if first != last => format!("its trials are {first} to {last}"),
        (Some(first), _) => format!("its only trial is {first}"),
        (None, _) => "this run is not a sweep; name the run itself".to_owned(),
    };
    let what = if own.is_dir() { "has no results yet" } else { "does not exist" };
    Err(Failure::usage(format!("`{name}` {what}"), Some(hint)))
}

fn of_file(name: &str, file: &Path) -> Result<Source, Failure> {
    if !file.is_file() {
        let hint = "name a run without a file ending; `pipe ls` lists the runs".to_owned();
        return Err(Failure::usage(format!("there is no file `{name}`"), Some(hint)));
    }
    let folder =
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    beside(name, ResultTable::read_file(file)?, folder)
}

fn of_folder(name: &str, folder: &Path) -> Result<Source, Failure> {
    let table = match results_in(folder) {
        Some(file) => ResultTable::read_file(&file)?,
        None => ResultTable::default(),
    };
    beside(name, table, folder)
}

fn results_in(folder: &Path) -> Option<PathBuf> {
    RESULTS.iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// Adds the files beside a table: predictions, including those of trials, and the fingerprint of
/// the pipeline.
fn beside(name: &str, table: ResultTable, folder: &Path) -> Result<Source, Failure> {
    let mut blocks = predictions::read_run(folder)?.unwrap_or_default();
    let trials: BTreeSet<u64> = table.rows.iter().filter_map(|row| row.trial).collect();
    let known: BTreeSet<u64> = blocks.iter().filter_map(|block| block.tag.trial).collect();
    for trial in trials.difference(&known) {
        let own = folder.join(TRIALS).join(trial.to_string());
        for mut block in predictions::read_run(&own)?.unwrap_or_default() {
            block.tag.trial = Some(*trial);
            blocks.push(block);
        }
    }
    Ok(Source {
        name: name.to_owned(),
        rows: table.rows,
        predictions: blocks,
        fingerprint: fingerprint(folder)?,
    })
}

/// Returns the fingerprint of the run's pipeline: the digest of its resolved form without the seed.
fn fingerprint(folder: &Path) -> Result<Option<String>, TableError> {
    let file = folder.join("resolved.yaml");
    if !digests::is_there(&file)? {
        return Ok(None);
    }
    let bytes = digests::read(&file).map_err(TableError::from)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("seed:")).collect();
    Ok(Some(Digest::of(lines.join("\n").as_bytes()).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_named_below_its_run() {
        assert_eq!(trial("latest/trials/3"), Some(("latest", 3)));
        assert_eq!(trial("runs/20260101-x-ab12/trials/12/"), Some(("runs/20260101-x-ab12", 12)));
        assert_eq!(trial("latest/trials/x"), None);
        assert_eq!(trial("latest"), None);
        assert_eq!(trial("trials/3"), None);
    }
}
