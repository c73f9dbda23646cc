//! Times what a user waits for before any work is done, as whole processes: help, planning, and a run where all is cached.
//!
//! `cargo bench --bench command_line -- [--rounds N]`. Goals: help under 20 ms, a cached run under 100 ms, planning a file of 1000 stages
//! under 200 ms.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pipe::base::clock::Stopwatch;

type AnyError = Box<dyn std::error::Error>;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny-bert");

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = arguments.iter().position(|argument| argument == "--rounds");
    let rounds: usize = rounds.and_then(|at| arguments.get(at + 1)).map_or(Ok(20), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    fs_err::create_dir(folder.path().join(".pipe"))?;
    fs_err::write(folder.path().join("texts.csv"), texts())?;
    fs_err::write(folder.path().join("small.yaml"), pipeline(1))?;
    // load, then train and evaluate again and again: 1 + 2·500 stages.
    fs_err::write(folder.path().join("large.yaml"), pipeline(500))?;
    // Fills the cache, and the download folder where it is empty.
    once(folder.path(), &["run", "small.yaml"])?;
    let commands: [(&str, &[&str], f64); 4] = [
        ("pipe --help", &["--help"], 20.0),
        ("pipe run, all cached", &["run", "small.yaml"], 100.0),
        ("pipe validate, 1001 stages", &["validate", "large.yaml"], 200.0),
        ("pipe run --dry-run, 1001 stages", &["run", "large.yaml", "--dry-run"], 200.0),
    ];
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<32} {:>10} {:>10} {:>10} {:>9}",
        "command", "median ms", "min ms", "max ms", "goal ms"
    )?;
    for (name, arguments, goal) in commands {
        let mut times = Vec::new();
        for _ in 0..rounds.max(1) {
            times.push(once(folder.path(), arguments)?);
        }
        times.sort_by(f64::total_cmp);
        let (median, least, most) = (times[times.len() / 2], times[0], times[times.len() - 1]);
        writeln!(out, "{name:<32} {median:>10.1} {least:>10.1} {most:>10.1} {goal:>9.0}")?;
    }
    Ok(())
}

/// Runs the program once; returns the milliseconds from its start to its end.
fn once(folder: &Path, arguments: &[&str]) -> Result<f64, AnyError> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
    command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    let watch = Stopwatch::start();
    let output = command.output()?;
    let milliseconds = watch.seconds() * 1000.0;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(milliseconds)
}

fn texts() -> String {
    let mut rows = "text,label\n".to_owned();
    for row in 0..40 {
        let (word, label) = if row % 2 == 0 { ("good", "a") } else { ("slow", "b") };
        let _ = writeln!(rows, "the food was {word} {row},{label}");
    }
    rows
}

fn pipeline(recipes: usize) -> String {
    let mut text =
        "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.3 } } }\n".to_owned();
    for recipe in 0..recipes {
        let _ = write!(
            text,
            "  tuned_{recipe}:
    train:
      data: data
      model: {{ pretrained: {MODEL} }}
      epochs: {}
      optimizer: {{ adamw: {{ learning_rate: 1e-3 }} }}
  score_{recipe}: {{ evaluate: {{ model: tuned_{recipe}, data: data }} }}
",
            recipe + 1
        );
    }
    text
}
