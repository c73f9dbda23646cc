//! kill -9 at any moment: the next run gives what an undisturbed one gives.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use fs_err as fs;

use super::project::{Project, Said, TestError, data, has_training_api};

/// The long training takes seconds, so that there are checkpoints on a machine several times as
/// fast as today's. Everything that training goes on with is in use: moments, dropout, a plateau
/// schedule, the best epoch so far, a budget that ends within an epoch.
fn pipeline(adamw: &str) -> String {
    format!(
        "\
version: 1
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.2, dev: 0.1 }} }} }}
  long:
    train:
      data: data
      model: {{ pretrained: {0} }}
      budget: {{ steps: 4315 }}
      batch_size: 8
      accumulation: 2
      dropout: 0.1
      optimizer: {{ adamw: {{ learning_rate: 1e-3, {adamw} }} }}
      schedule: {{ reduce_on_plateau: {{ monitor: dev_loss, factor: 0.7, patience: 1 }} }}
      best_checkpoint: loss
  short:
    train:
      data: data
      model: {{ pretrained: {1} }}
      epochs: 2
      optimizer: {{ sgd: {{ learning_rate: 1e-2, momentum: 0.9 }} }}
  long_score: {{ evaluate: {{ model: long, data: data }} }}
  short_score: {{ evaluate: {{ model: short, data: data }} }}
",
        data("tiny-bert"),
        data("tiny-roberta"),
    )
}

const RUN: [&str; 4] = ["run", "x.yaml", "--threads", "1"];

fn start(project: &Project) -> Result<Child, TestError> {
    Ok(project.command(&RUN).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?)
}

/// Kills with SIGKILL (`TerminateProcess` on Windows) and returns what was said until then.
fn kill(mut child: Child) -> Result<Said, TestError> {
    child.kill()?;
    Ok(Said::new(child.wait_with_output()?))
}

/// Finds a file by its name.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let here =
        entries.iter().find(|path| path.file_name().is_some_and(|found| found == name)).cloned();
    here.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}

#[test]
fn killed_runs_end_as_an_undisturbed_one() -> Result<(), TestError> {
    check("session", "head_learning_rate: 2e-3")
}

/// The same through the training API, whose checkpoint holds the moments.
#[test]
fn killed_runs_of_the_training_api_end_as_an_undisturbed_one() -> Result<(), TestError> {
    if has_training_api()? { check("training_api", "decay_all: true") } else { Ok(()) }
}

fn check(backend: &str, adamw: &str) -> Result<(), TestError> {
    let pipeline = pipeline(adamw);
    let (calm, killed) = (Project::with(400, &pipeline)?, Project::with(400, &pipeline)?);
    let mut said = Vec::new();
    // Before anything, while the data is read, in the first epochs ...
    for milliseconds in [0, 20, 150, 700] {
        let child = start(&killed)?;
        sleep(Duration::from_millis(milliseconds));
        said.push(kill(child)?);
        assert!(
            !killed.path("runs/latest").exists(),
            "a killed run counts as the latest: {said:?}"
        );
    }
    // ... and at moments after a checkpoint.
    for milliseconds in [5, 330] {
        let mut child = start(&killed)?;
        let before =
            find(&killed.path(".pipe"), "checkpoint.safetensors").map(fs::metadata).transpose()?;
        let newer = |path: PathBuf| {
            let modified = |data: &std::fs::Metadata| data.modified().ok();
            fs::metadata(path).is_ok_and(|now| modified(&now) != before.as_ref().and_then(modified))
        };
        while !find(&killed.path(".pipe"), "checkpoint.safetensors").is_some_and(newer) {
            if let Some(status) = child.try_wait()? {
                return Err(format!(
                    "{status} before there was a checkpoint: {:?}",
                    kill(child)?.err
                )
                .into());
            }
            sleep(Duration::from_millis(10));
        }
        sleep(Duration::from_millis(milliseconds));
        said.push(kill(child)?);
    }
    let goes_on = |said: &Said| said.err.contains("long: resuming after epoch ");
    assert!(!goes_on(&said[4]) && goes_on(&said[5]), "{said:?}");
    let last = killed.run(&RUN[2..])?;
    assert!(goes_on(&last), "{}", last.err);
    calm.run(&RUN[2..])?;
    calm.outcome()?.assert_same(&killed.outcome()?);
    let rows = calm.results()?;
    let row = rows.iter().find(|row| row.stage == "long_score").ok_or("no row")?;
    assert_eq!(row.backend, backend);
    // The kills are on record, nothing half-written counts, and nothing is left to be done.
    let runs = killed.pipe(&["ls"])?.out;
    assert!(runs.matches("  killed  ").count() >= 3, "{runs}");
    assert_eq!(runs.matches("  complete  ").count(), 1, "{runs}");
    assert_eq!(killed.pipe(&["verify"])?.code, Some(0));
    assert_eq!(find(&killed.path(".pipe"), "checkpoint.safetensors"), None);
    assert!(killed.run(&RUN[2..])?.err.contains("nothing to do: all 5 stages cached"));
    Ok(())
}

/// The second request to stop ends the program at once, whatever its threads do, and always with
/// the same code.
#[test]
#[cfg(unix)]
fn a_second_interrupt_ends_the_program_cleanly() -> Result<(), TestError> {
    let project = Project::with(200, &pipeline("head_learning_rate: 2e-3"))?;
    let mut twice = 0;
    for attempt in 0..24_u64 {
        let child = start(&project)?;
        let signal = |name: &str| {
            std::process::Command::new("kill").args([name, &child.id().to_string()]).status()
        };
        sleep(Duration::from_millis(60 + attempt * 97 % 500));
        signal(if attempt % 3 == 0 { "-TERM" } else { "-INT" })?;
        sleep(Duration::from_millis(attempt % 5));
        signal("-INT")?;
        let said = Said::new(child.wait_with_output()?);
        assert_eq!(said.code, Some(130), "attempt {attempt}: {}", said.err);
        twice += usize::from(said.err.contains("press Ctrl-C again"));
    }
    assert!(twice >= 12, "the program got only {twice} of the signals in its work");
    Ok(())
}

/// A limit on the size of files is an error with a way out, for this program and not for those that
/// it starts.
#[test]
#[cfg(unix)]
fn a_limit_on_files_is_told() -> Result<(), TestError> {
    let project = Project::with(200, &pipeline("head_learning_rate: 2e-3"))?;
    let program = env!("CARGO_BIN_EXE_pipe");
    let limited = format!("ulimit -f 40; exec {program} run x.yaml --threads 1");
    let said = project.shell(&limited)?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("`ulimit -f` shows the limit"), "{}", said.err);
    Ok(())
}
