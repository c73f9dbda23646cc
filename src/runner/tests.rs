//! Whole runs over fake stages.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fs_err as fs;

use super::cache::entry::{Depth, Done, Lookup};
use super::explain::{Change, Reason};
use super::gc;
use super::observer::{Event, Observer};
use super::record::provenance::{Provenance, Status};
use super::record::runs;
use super::run::interrupt::Interrupt;
use super::run::pipeline_run::Finished;
use super::testing::{Act, Bench, Fake, Line, Recorder, TestError};
use crate::base::sealed;

#[test]
fn the_second_run_executes_nothing() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (first, _) = bench.run(&line)?;
    assert_eq!((first.computed, first.cached, first.status), (3, 0, Status::Complete));
    let (second, recorder) = bench.run(&line)?;
    assert_eq!(line.runs(), [1, 1, 1]);
    assert!(second.nothing_to_do);
    assert_eq!((second.run, second.cached), (first.run, 3));
    assert_eq!(second.table, first.table);
    assert_eq!(recorder.count("stage_cached"), 3);
    Ok(())
}

#[test]
fn a_change_runs_what_depends_on_it_and_says_why() -> Result<(), TestError> {
    let (bench, mut line) = (Bench::new()?, Line::new());
    assert!(bench.prepare(&line)?.reasons().iter().all(|(_, reason)| *reason == Reason::FirstRun));
    bench.run(&line)?;
    line.rate = 0.75;
    let texts: Vec<String> = bench
        .prepare(&line)?
        .reasons()
        .iter()
        .map(|(label, reason)| format!("{label}: {reason}"))
        .collect();
    assert_eq!(
        texts,
        [
            "data: cached",
            "draw: config changed: `rate`: 0.5 -> 0.75",
            "score: input `data` changed (stage `draw`)",
        ]
    );
    let (finished, _) = bench.run(&line)?;
    assert_eq!((line.runs(), finished.nothing_to_do), (vec![1, 2, 2], false));
    // Back again: everything is cached, and the first run has the results.
    line.rate = 0.5;
    assert!(bench.run(&line)?.0.nothing_to_do);
    assert_eq!(line.runs(), [1, 2, 2]);
    Ok(())
}

#[test]
fn renaming_a_stage_changes_nothing() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    bench.run(&line)?;
    let mut prepared = bench.prepare(&line)?;
    prepared.jobs.iter_mut().for_each(|job| job.id = format!("new-{}", job.id));
    assert!(prepared.reasons().iter().all(|(_, reason)| *reason == Reason::Cached));
    Ok(())
}

#[test]
fn the_number_of_workers_changes_no_result() -> Result<(), TestError> {
    let line = Line::new().act(1, Act::Slow);
    let mut tables = Vec::new();
    for workers in [1, 4] {
        let mut bench = Bench::new()?;
        bench.settings.workers = workers;
        bench.settings.seeds = (0..6).collect();
        let (finished, _) = bench.run(&line)?;
        let mut table = finished.table;
        table.rows.iter_mut().for_each(|row| row.run.clear());
        let entries = bench.prepare(&line)?;
        let digests: Vec<_> = entries
            .tasks
            .all
            .iter()
            .filter_map(|task| Some(entries.cache.entry(&task.key)?.done.files))
            .collect();
        tables.push((table, digests));
    }
    assert_eq!(tables[0], tables[1]);
    assert_eq!(tables[0].0.rows.len(), 6);
    assert_eq!(line.runs(), [2, 12, 12]);
    Ok(())
}

#[test]
fn a_failure_blocks_only_what_depends_on_it() -> Result<(), TestError> {
    let mut bench = Bench::new()?;
    bench.settings.keep_going = true;
    let mut line = Line::new().act(1, Act::Fail);
    // A second branch: score2 reads `data` itself.
    line.stages.push(Fake { name: "score2", ..Fake::data("score2").scores() });
    let run = |line: &Line| -> Result<Finished, TestError> {
        let mut prepared = bench.prepare(line)?;
        prepared.jobs[3].inputs[0].step = 0;
        let recorder = Recorder::default();
        // The tasks follow from the jobs, so they are created again.
        prepared.tasks =
            super::run::tasks::Tasks::new(&prepared.jobs, &[1], None, &vec![Vec::new(); 4]);
        Ok(prepared.execute(&recorder, &Interrupt::default())?)
    };
    let finished = run(&line)?;
    assert_eq!(line.runs(), [1, 1, 0, 1]);
    assert_eq!(finished.status, Status::Failed);
    assert_eq!(finished.not_run, ["score"]);
    assert_eq!(finished.table.rows.len(), 1);
    let failure = finished.failures.first().ok_or("a failure")?;
    assert_eq!(failure.to_string(), "stage `draw` failed");
    assert_eq!(failure.error.to_string(), "the loss is not a number");
    let run_now = runs::find(&bench.project(), None)?;
    assert_eq!(run_now.status(), "failed");
    assert_eq!(
        run_now.provenance.error.as_deref(),
        Some("stage `draw` failed: the loss is not a number")
    );
    let outcomes: Vec<&str> =
        run_now.provenance.stages.iter().map(|stage| stage.outcome.as_str()).collect();
    assert_eq!(outcomes, ["computed", "failed", "not run", "computed"]);
    // Finished work stays finished.
    let line = Line {
        stages: line.stages.iter().cloned().map(|stage| stage.act(Act::Work)).collect(),
        ..line
    };
    assert_eq!(run(&line)?.status, Status::Complete);
    assert_eq!(line.runs(), [1, 2, 1, 1]);
    Ok(())
}

#[test]
fn without_keep_going_nothing_starts_after_a_failure() -> Result<(), TestError> {
    let mut bench = Bench::new()?;
    bench.settings.seeds = vec![1, 2, 3];
    let line = Line::new().act(1, Act::Fail);
    let (finished, _) = bench.run(&line)?;
    assert_eq!((finished.failures.len(), line.runs()), (1, vec![1, 1, 0]));
    Ok(())
}

#[test]
fn what_read_a_file_that_changed_meanwhile_is_not_kept() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new().act(0, Act::Edited));
    let (finished, _) = bench.run(&line)?;
    assert_eq!(finished.failures[0].error.to_string(), "`a.csv` changed while the stage ran");
    assert_eq!(bench.prepare(&line)?.cache.keys()?, []);
    Ok(())
}

#[test]
fn an_earlier_run_without_its_table_is_none() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (first, _) = bench.run(&line)?;
    fs::remove_file(first.folder.join("results.parquet"))?;
    let (second, _) = bench.run(&line)?;
    assert!(!second.nothing_to_do && second.run != first.run);
    assert_eq!((second.cached, second.table.rows.len()), (3, 1));
    Ok(())
}

#[test]
fn a_panic_is_an_error_of_its_stage() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new().act(1, Act::Panic));
    let (finished, _) = bench.run(&line)?;
    assert_eq!(finished.failures[0].error.to_string(), "internal error: a mistake");
    assert_eq!(finished.status, Status::Failed);
    Ok(())
}

/// Runs and interrupts after a moment.
fn run_interrupted(bench: &Bench, line: &Line) -> Result<(Finished, Recorder), TestError> {
    let interrupt = Interrupt::default();
    let asking = interrupt.clone();
    let stop = std::thread::spawn(move || {
        // Long enough for the stage before to be flushed to a busy disk.
        std::thread::sleep(Duration::from_secs(1));
        asking.ask()
    });
    let outcome = bench.run_until(line, &interrupt)?;
    assert!(!stop.join().map_err(|_| "the thread")?);
    Ok(outcome)
}

#[test]
fn a_failure_while_stopping_is_told() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new().act(1, Act::FailWhileStopping));
    let (finished, recorder) = run_interrupted(&bench, &line)?;
    assert_eq!(finished.status, Status::Interrupted);
    assert_eq!(recorder.count("while stopping: the loss is not a number"), 1);
    Ok(())
}

#[test]
fn an_interruption_keeps_the_state_and_nothing_half_written() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new().act(1, Act::WaitForInterrupt));
    let (finished, recorder) = run_interrupted(&bench, &line)?;
    assert_eq!(recorder.count("while stopping"), 0);
    assert_eq!((finished.status, line.runs()), (Status::Interrupted, vec![1, 1, 0]));
    assert!(finished.failures.is_empty());
    assert_eq!(recorder.count("stage_interrupted"), 1);
    let prepared = bench.prepare(&line)?;
    assert!(matches!(prepared.cache.find(&prepared.tasks.all[1].key, Depth::Sizes), Lookup::Miss));
    let scratch = prepared.cache.scratch(&prepared.tasks.all[1].key);
    assert!(scratch.join("epoch-1").exists());
    assert_eq!(runs::find(&bench.project(), None)?.status(), "interrupted");
    // The next attempt resumes, and cleans up after itself.
    let line = Line {
        stages: line.stages.iter().cloned().map(|stage| stage.act(Act::Work)).collect(),
        ..line
    };
    assert_eq!(bench.run(&line)?.0.status, Status::Complete);
    assert!(!scratch.exists());
    Ok(())
}

#[test]
fn two_runs_at_once_compute_each_key_once() -> Result<(), TestError> {
    let (bench, line) =
        (Bench::new()?, Line::new().act(0, Act::Slow).act(1, Act::Slow).act(2, Act::Slow));
    let tables = std::thread::scope(|scope| {
        let go = || {
            bench
                .run(&line)
                .map(|(finished, _)| finished.table.rows.len())
                .map_err(|error| error.to_string())
        };
        let both = [scope.spawn(go), scope.spawn(go)];
        both.map(|thread| thread.join().unwrap_or_else(|_| Err("panicked".into())))
    });
    assert_eq!(tables, [Ok(1), Ok(1)]);
    assert_eq!(line.runs(), [1, 1, 1]);
    Ok(())
}

#[test]
fn a_damaged_output_is_computed_again_with_a_warning() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    bench.run(&line)?;
    let prepared = bench.prepare(&line)?;
    let entry = prepared.cache.entry(&prepared.tasks.all[1].key).ok_or("a hit")?;
    let name = entry.done.files.keys().next().ok_or("a file")?;
    fs::write(entry.output().join(name), "cut")?;
    assert!(matches!(prepared.reason(1, 1, 1), Reason::Damaged(_)));
    let (finished, recorder) = bench.run(&line)?;
    assert_eq!((finished.computed, finished.cached), (1, 2));
    assert_eq!(recorder.count("is damaged"), 1);
    assert_eq!(line.runs(), [1, 2, 1]);
    // An output that is gone is named as such.
    fs::remove_dir_all(prepared.cache.doom(&prepared.tasks.all[1].key)?)?;
    assert_eq!(prepared.reason(1, 1, 1), Reason::Gone);
    Ok(())
}

#[test]
fn force_computes_everything_again() -> Result<(), TestError> {
    let (mut bench, line) = (Bench::new()?, Line::new());
    let (first, _) = bench.run(&line)?;
    bench.settings.force = true;
    let (second, _) = bench.run(&line)?;
    assert_eq!((line.runs(), second.computed), (vec![2, 2, 2], 3));
    assert_ne!(first.run, second.run);
    Ok(())
}

#[test]
fn a_new_seed_shares_what_does_not_use_it() -> Result<(), TestError> {
    let (mut bench, line) = (Bench::new()?, Line::new());
    bench.run(&line)?;
    bench.settings.seeds = vec![1, 2];
    let texts: Vec<String> = bench
        .prepare(&line)?
        .reasons()
        .iter()
        .map(|(label, reason)| format!("{label}: {reason}"))
        .collect();
    assert_eq!(
        texts,
        [
            "data: cached",
            "draw (seed 1): cached",
            "score (seed 1): cached",
            "draw (seed 2): first run with seed 2",
            "score (seed 2): first run with seed 2",
        ]
    );
    bench.run(&line)?;
    assert_eq!(line.runs(), [1, 2, 2]);
    Ok(())
}

#[test]
fn a_run_folder_tells_everything() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (finished, _) = bench.run(&line)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&finished.folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            ".lock",
            "curves.parquet",
            "digests.json",
            "events.jsonl",
            "pipeline.yaml",
            "predictions.parquet",
            "provenance.json",
            "resolved.yaml",
            "results.csv",
            "results.parquet",
        ]
    );
    assert_eq!(fs::read_to_string(finished.folder.join("pipeline.yaml"))?, "version: 1 # mine\n");
    let events = fs::read_to_string(finished.folder.join("events.jsonl"))?;
    let kinds = events
        .lines()
        .map(|line| {
            Ok(serde_json::from_str::<serde_json::Value>(line)?["event"]
                .as_str()
                .unwrap_or("")
                .to_owned())
        })
        .collect::<Result<Vec<String>, serde_json::Error>>()?;
    assert_eq!(kinds[0], "run_started");
    assert_eq!(kinds.iter().filter(|kind| *kind == "stage_finished").count(), 3);
    assert_eq!(kinds.last().map(String::as_str), Some("run_finished"));
    let run = runs::find(&bench.project(), Some("latest"))?;
    assert_eq!(run.provenance.run, finished.run);
    assert_eq!((run.provenance.name.as_str(), run.provenance.pipeline.as_str()), ("x", "x.yaml"));
    assert_eq!(run.provenance.stages.len(), 3);
    assert_eq!(run.provenance.best.as_ref().map(|best| best.metric.as_str()), Some("macro_f1"));
    assert_eq!(finished.table.rows[0].params["rate"], 0.5);
    // By the start and the end of the name; the error for a wrong name lists the runs.
    let id = finished.run.as_str();
    assert_eq!(runs::find(&bench.project(), Some(&id[..8]))?.provenance.run, id);
    assert_eq!(runs::find(&bench.project(), Some(&id[id.len() - 6..]))?.provenance.run, id);
    let error = runs::find(&bench.project(), Some("nope")).err().ok_or("an error")?;
    assert!(error.to_string().starts_with("there is no run `nope` in "), "{error}");
    Ok(())
}

#[test]
fn a_killed_run_is_shown_as_such() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let (finished, _) = bench.run(&line)?;
    let file = finished.folder.join("provenance.json");
    // The leftovers of a process that is killed in the middle.
    let mut record: Provenance = sealed::open(&fs::read(&file)?)?;
    record.status = Status::Running;
    fs::write(&file, sealed::seal(&record)?)?;
    assert_eq!(runs::find(&bench.project(), None)?.status(), "killed");
    let lock = super::cache::lock::KeyLock::try_acquire(&finished.folder.join(".lock"))?;
    assert!(lock.is_some());
    assert_eq!(runs::find(&bench.project(), None)?.status(), "running");
    // Its results are not mistaken for the results of a whole run.
    drop(lock);
    assert!(!bench.run(&line)?.0.nothing_to_do);
    assert_eq!(line.runs(), [1, 1, 1]);
    Ok(())
}

#[test]
fn garbage_is_what_no_run_uses() -> Result<(), TestError> {
    let (bench, mut line) = (Bench::new()?, Line::new());
    let (first, _) = bench.run(&line)?;
    line.rate = 0.25;
    bench.run(&line)?;
    let cache = bench.prepare(&line)?.cache;
    assert_eq!(cache.keys()?.len(), 5);
    age(&cache)?;
    assert_eq!(gc::collect(&bench.project(), 0, false)?.freed, []);
    fs::remove_dir_all(&first.folder)?;
    assert_eq!(gc::collect(&bench.project(), 40, false)?.freed, []);
    let would = gc::collect(&bench.project(), 30, true)?.freed;
    assert_eq!((would.len(), cache.keys()?.len()), (2, 5));
    assert_eq!(gc::collect(&bench.project(), 30, false)?.freed, would);
    assert_eq!(cache.keys()?.len(), 3);
    assert!(would.iter().all(|freed| freed.bytes > 0));
    line.rate = 0.25;
    assert!(bench.run(&line)?.0.nothing_to_do);
    Ok(())
}

#[test]
fn damaged_outputs_are_garbage_in_time() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    bench.run(&line)?;
    let cache = bench.prepare(&line)?.cache;
    let folder = cache.folder(&cache.keys()?[0]);
    fs::remove_file(folder.join("done.json"))?;
    assert_eq!(gc::collect(&bench.project(), 0, false)?.freed, []);
    let then = std::time::SystemTime::now() - Duration::from_secs(25 * 3600);
    fs::File::open(&folder)?.into_file().set_modified(then)?;
    let freed = gc::collect(&bench.project(), 30, false)?.freed;
    assert!(freed.len() == 1 && freed[0].what.ends_with("`done.json` is missing"), "{freed:?}");
    assert_eq!(cache.keys()?.len(), 2);
    Ok(())
}

/// Makes all entries 35 days old.
fn age(cache: &super::cache::cache::Cache) -> Result<(), TestError> {
    let then = crate::base::clock::now_utc() - jiff::SignedDuration::from_hours(35 * 24);
    for key in cache.keys()? {
        let file = cache.folder(&key).join("done.json");
        let mut done: Done = sealed::open(&fs::read(&file)?)?;
        done.created = crate::base::clock::text(then);
        fs::write(&file, sealed::seal(&done)?)?;
    }
    Ok(())
}

#[test]
fn changes_follow_the_input() -> Result<(), TestError> {
    let (bench, mut line) = (Bench::new()?, Line::new());
    bench.run(&line)?;
    line.rate = 0.9;
    let reason = bench.prepare(&line)?.reason(2, 1, 2);
    let expected = Change::Input { field: "data".into(), stage: Some("draw".into()) };
    assert_eq!(reason, Reason::Changed(vec![expected]));
    Ok(())
}

/// An observer that stops the run at the first event of a kind.
struct StopAt<'a>(&'a Interrupt, &'a str);

impl Observer for StopAt<'_> {
    fn event(&self, event: &Event<'_>) {
        if serde_json::to_string(event).is_ok_and(|line| line.contains(self.1)) {
            self.0.ask();
        }
    }
}

#[test]
fn what_finished_before_an_interruption_is_kept() -> Result<(), TestError> {
    let (bench, line) = (Bench::new()?, Line::new());
    let interrupt = Interrupt::default();
    let finished =
        bench.prepare(&line)?.execute(&StopAt(&interrupt, "stage_finished"), &interrupt)?;
    assert_eq!((finished.status, finished.computed), (Status::Interrupted, 1));
    assert_eq!(finished.not_run, ["draw", "score"]);
    bench.run(&line)?;
    assert_eq!(line.stages[0].runs.load(Ordering::SeqCst), 1);
    Ok(())
}
