//! What happens to changed, lost and unreadable files.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::cache::entry::{Depth, Lookup};
use super::gc;
use super::observer::{Event, Observer};
use super::record::provenance::{Provenance, Status};
use super::record::runs;
use super::run::interrupt::Interrupt;
use super::testing::{Bench, Line, TestError};
use crate::base::sealed;

/// Changes one byte in the middle of a file.
fn change(file: &Path) -> Result<(), TestError> {
    let mut bytes = fs::read(file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    Ok(fs::write(file, bytes)?)
}

/// Returns the files of the cached output of a stage of the line.
fn files(bench: &Bench, line: &Line, stage: usize) -> Result<Vec<PathBuf>, TestError> {
    let prepared = bench.prepare(line)?;
    let entry = prepared.cache.entry(&prepared.tasks.all[stage].key).ok_or("a hit")?;
    Ok(entry.done.files.keys().map(|name| entry.output().join(name)).collect())
}

#[test]
fn changed_results_are_computed_again_whatever_file_it_is() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (sound, _) = bench.run(&line)?;
    for (round, file) in files(&bench, &line, 2)?.iter().enumerate() {
        fs::remove_dir_all(bench.project().runs())?;
        change(file)?;
        let (finished, recorder) = bench.run(&line)?;
        assert_eq!((finished.status, finished.computed), (Status::Complete, 1), "{file:?}");
        assert_eq!(recorder.count("is damaged"), 1);
        assert_eq!(line.runs(), [1, 1, 2 + round]);
        assert_eq!(finished.table.rows[0].metrics, sound.table.rows[0].metrics);
    }
    Ok(())
}

#[test]
fn a_changed_input_is_computed_again_and_never_used() -> Result<(), TestError> {
    for file in 0.. {
        let (bench, mut line) = (Bench::new()?, Line::new());
        bench.run(&line)?;
        let files = files(&bench, &line, 0)?;
        let Some(file) = files.get(file) else { break };
        let before = fs::read(file)?;
        change(file)?;
        // The next stage needs it now.
        line.rate = 0.25;
        let (finished, _) = bench.run(&line)?;
        assert_eq!(finished.status, Status::Complete, "{file:?}");
        assert_eq!(line.runs(), [2, 2, 2], "{file:?}");
        assert_eq!(fs::read(file)?, before);
    }
    Ok(())
}

#[test]
fn a_changed_record_of_an_output_is_seen() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    bench.run(&line)?;
    let prepared = bench.prepare(&line)?;
    let key = prepared.tasks.all[0].key;
    for name in ["done.json", "key.json"] {
        let file = prepared.cache.folder(&key).join(name);
        let sound = fs::read(&file)?;
        for place in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << (place % 8);
            fs::write(&file, &bytes)?;
            let found = prepared.cache.find(&key, Depth::WHOLE);
            // Where the mark of a seal has changed, what the key is made from may still be whole.
            let is_same = || name == "key.json" && place < 10;
            assert!(matches!(found, Lookup::Damaged(_)) || is_same(), "{name}, byte {place}");
        }
        fs::write(&file, &sound)?;
    }
    assert!(prepared.cache.find(&key, Depth::WHOLE).hit().is_some());
    // Records of earlier versions have neither seal nor key.
    let file = prepared.cache.folder(&key).join("done.json");
    let sound = fs::read(&file)?;
    let mut old: serde_json::Value = serde_json::from_slice(&sound)?;
    let map = old.as_object_mut().ok_or("an object")?;
    map.remove("seal");
    map.remove("key");
    fs::write(&file, old.to_string())?;
    assert!(prepared.cache.find(&key, Depth::WHOLE).hit().is_some());
    // Nor is the record of another output taken for this one's.
    let other = prepared.cache.folder(&prepared.tasks.all[1].key);
    fs::copy(other.join("done.json"), prepared.cache.folder(&key).join("done.json"))?;
    assert!(matches!(prepared.cache.find(&key, Depth::Sizes), Lookup::Damaged(_)));
    Ok(())
}

#[test]
fn a_run_with_a_changed_file_is_no_earlier_run() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let names = ["results.parquet", "predictions.parquet", "resolved.yaml", "digests.json"];
    for name in names {
        let (finished, _) = bench.run(&line)?;
        change(&finished.folder.join(name))?;
        let (again, _) = bench.run(&line)?;
        assert!(!again.nothing_to_do && again.run != finished.run, "{name}");
        assert_eq!((again.status, again.computed), (Status::Complete, 0));
        assert_eq!(again.table.rows[0].metrics, finished.table.rows[0].metrics);
        assert!(bench.run(&line)?.0.nothing_to_do);
    }
    Ok(())
}

#[test]
fn a_changed_record_of_a_run_is_named() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (finished, _) = bench.run(&line)?;
    change(&finished.folder.join("provenance.json"))?;
    let survey = runs::survey(&bench.project())?;
    assert_eq!((survey.runs.len(), survey.unreadable.len()), (0, 1));
    let error = runs::find(&bench.project(), Some(&finished.run)).err().ok_or("an error")?;
    assert!(error.to_string().contains("has changed since it was written"), "{error}");
    Ok(())
}

/// An observer that acts at the start of the run.
struct AtStart<'a>(&'a (dyn Fn(&str) + Sync));

impl Observer for AtStart<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::RunStarted { run, .. } = event {
            (self.0)(run);
        }
    }
}

#[test]
fn a_run_that_cannot_write_its_table_has_failed() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let runs = bench.project().runs();
    let obstruct = |run: &str| {
        let _ = fs::create_dir(runs.join(run).join("results.parquet"));
    };
    let ended = bench.prepare(&line)?.execute(&AtStart(&obstruct), &Interrupt::default());
    assert!(ended.is_err());
    let run = runs::list(&bench.project())?.remove(0);
    assert_eq!((run.status(), run.provenance.finished.is_some()), ("failed", true));
    assert!(run.provenance.error.is_some());
    assert_eq!(bench.run(&line)?.0.status, Status::Complete);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_link_that_cannot_be_replaced_is_a_warning() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    // The name that the link has at first is taken.
    let obstacle = format!(".latest-{}", std::process::id());
    fs::create_dir_all(bench.project().runs().join(obstacle))?;
    let (finished, recorder) = bench.run(&line)?;
    assert_eq!(finished.status, Status::Complete);
    assert_eq!(recorder.count("the link still names another run"), 1);
    assert_eq!(runs::find(&bench.project(), None)?.status(), "complete");
    Ok(())
}

#[test]
fn runs_are_in_the_order_in_which_they_began() -> Result<(), TestError> {
    let (bench, mut line) = (Bench::new()?, Line::new());
    let (first, _) = bench.run(&line)?;
    // The clock was ahead.
    let file = first.folder.join("provenance.json");
    let mut record: Provenance = sealed::open(&fs::read(&file)?)?;
    record.started = "2040-01-01T00:00:00.000Z".to_owned();
    fs::write(&file, sealed::seal(&record)?)?;
    line.rate = 0.25;
    let (second, _) = bench.run(&line)?;
    let count = bench.project().runs().join(".count");
    // A damaged or lost count is made from the runs.
    fs::write(&count, "{}")?;
    line.rate = 0.75;
    let (third, _) = bench.run(&line)?;
    fs::remove_file(&count)?;
    line.rate = 1.0;
    let (fourth, _) = bench.run(&line)?;
    let listed = runs::list(&bench.project())?;
    let names: Vec<&str> = listed.iter().map(|run| run.provenance.run.as_str()).collect();
    assert_eq!(names, [fourth.run, third.run, second.run, first.run]);
    assert_eq!(listed[0].provenance.number, 4);
    Ok(())
}

#[test]
fn a_run_that_cannot_be_read_keeps_all_outputs() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (finished, _) = bench.run(&line)?;
    let cache = bench.prepare(&line)?.cache;
    let record = finished.folder.join("provenance.json");
    let sound = fs::read(&record)?;
    let collect = || gc::collect(&bench.project(), 0, false);
    let damages: [&dyn Fn() -> std::io::Result<()>; 2] =
        [&|| fs::write(&record, &sound[..sound.len() / 2]), &|| fs::remove_file(&record)];
    let keys = finished.folder.join("keys.txt");
    for damage in damages {
        damage()?;
        let found = collect()?;
        assert_eq!((found.blocking.len(), cache.keys()?.len()), (1, 3));
        assert_eq!(found.blocking[0].folder, finished.folder);
        fs::write(&record, &sound)?;
        assert!(collect()?.blocking.is_empty());
    }
    // A part of a line is what a kill leaves; a whole one of something else is not known.
    fs::write(&keys, "0123")?;
    assert!(collect()?.blocking.is_empty());
    fs::write(&keys, format!("{}\n", "x".repeat(64)))?;
    assert_eq!(collect()?.blocking.len(), 1);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_run_in_another_place_is_found_by_its_link() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (finished, _) = bench.run(&line)?;
    let cache = bench.prepare(&line)?.cache;
    let elsewhere = tempfile::tempdir()?;
    let moved = elsewhere.path().join("archive");
    fs::rename(&finished.folder, &moved)?;
    fs_err::os::unix::fs::symlink(&moved, &finished.folder)?;
    let found = gc::collect(&bench.project(), 0, false)?;
    assert_eq!((found.blocking.len(), cache.keys()?.len()), (0, 3));
    // A disk that is not mounted.
    fs::rename(&moved, elsewhere.path().join("gone"))?;
    let found = gc::collect(&bench.project(), 0, false)?;
    assert_eq!((found.blocking.len(), cache.keys()?.len()), (1, 3));
    fs::remove_file(&finished.folder)?;
    fs::remove_file(bench.project().runs().join("latest"))?;
    assert_eq!(gc::collect(&bench.project(), 0, false)?.blocking.len(), 0);
    assert_eq!(cache.keys()?.len(), 0);
    Ok(())
}

#[test]
fn leftovers_of_dead_writers_are_garbage_at_once() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (finished, _) = bench.run(&line)?;
    let root = bench.folder.path();
    let run = finished.folder.strip_prefix(root)?.display().to_string();
    let left = [
        ".pipe/cache/.tmp-abc".to_owned(),
        ".pipe/.tmp-abc".to_owned(),
        ".pipe/last/.tmp-abc".to_owned(),
        ".pipe/failed/old.json".to_owned(),
        "runs/.latest-1".to_owned(),
        format!("{run}/.tmp-abc"),
        format!("{run}/trials/3/.tmp-abc"),
        // Killed before it began.
        "runs/20260101T000000Z-x-000000/resolved.yaml".to_owned(),
    ];
    for name in &left {
        let file = root.join(name);
        fs::create_dir_all(file.parent().ok_or("a folder")?)?;
        fs::write(file, "x")?;
    }
    fs::write(root.join("runs/20260101T000000Z-x-000000/.lock"), "")?;
    // A folder of the user's own is none of ours, and one that has worked is not given up.
    fs::create_dir_all(root.join("runs/best"))?;
    fs::write(root.join("runs/best/resolved.yaml"), "mine")?;
    fs::write(root.join("runs/best/notes.md"), "mine")?;
    let whole = || -> Result<Vec<PathBuf>, TestError> {
        let mut found = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    };
    // A dry run writes nothing, not even a lock.
    let before = whole()?;
    assert_eq!(gc::collect(&bench.project(), 30, true)?.freed.len(), left.len());
    assert_eq!(whole()?, before);
    assert_eq!(gc::collect(&bench.project(), 30, false)?.freed.len(), left.len());
    assert!(left.iter().all(|name| !root.join(name).exists()));
    assert_eq!(fs::read_dir(root.join(".pipe/locks"))?.count(), 0);
    assert!(root.join("runs/best/notes.md").exists());
    assert!(bench.run(&line)?.0.nothing_to_do);
    Ok(())
}

#[test]
fn the_work_of_a_run_in_progress_is_spared() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (finished, _) = bench.run(&line)?;
    let prepared = bench.prepare(&line)?;
    let (cache, key) = (&prepared.cache, prepared.tasks.all[1].key);
    fs::create_dir_all(cache.scratch(&key))?;
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::open(cache.scratch(&key))?.into_file().set_modified(then)?;
    let lock = super::cache::lock::KeyLock::try_acquire(&finished.folder.join(".lock"))?;
    assert!(lock.is_some());
    gc::collect(&bench.project(), 0, false)?;
    assert!(cache.scratch(&key).exists());
    drop(lock);
    gc::collect(&bench.project(), 0, false)?;
    assert!(!cache.scratch(&key).exists());
    Ok(())
}
