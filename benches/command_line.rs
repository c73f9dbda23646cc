//! Times what a user waits for before any work is done, as whole processes: help, planning, a run
//! where all is cached, and comparing results.
//!
//! `cargo bench --bench command_line -- [--rounds N]`. Goals: help under 20 ms, a cached run under
//! 100 ms, planning a file of 1000 stages under 200 ms, comparing 10 000 rows of results under 200
//! ms.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pipe::base::clock::Stopwatch;
use pipe::results::results::ResultTable;
use pipe::results::row::ResultRow;

type AnyError = Box<dyn std::error::Error>;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny-bert");

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = arguments.iter().position(|argument| argument == "--rounds");
    let rounds: usize =
        rounds.and_then(|at| arguments.get(at + 1)).map_or(Ok(20), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    fs_err::create_dir(folder.path().join(".pipe"))?;
    fs_err::write(folder.path().join("texts.csv"), texts())?;
    fs_err::write(folder.path().join("small.yaml"), pipeline(1))?;
    // load, then train and evaluate again and again: 1 + 2·500 stages.
    fs_err::write(folder.path().join("large.yaml"), pipeline(500))?;
    // Fills the cache, and the download folder where it is empty.
    once(folder.path(), &["run", "small.yaml"])?;
    results(1000, 10).write(&folder.path().join("runs"))?;
    let commands: [(&str, &[&str], f64); 6] = [
        ("pipe --help", &["--help"], 20.0),
        ("pipe run, all cached", &["run", "small.yaml"], 100.0),
        ("pipe validate, 1001 stages", &["validate", "large.yaml"], 200.0),
        ("pipe run --dry-run, 1001 stages", &["run", "large.yaml", "--dry-run"], 200.0),
        ("pipe compare, 10 000 rows", &["compare", "runs/results.parquet"], 200.0),
        (
            "pipe compare, 10 000 rows of CSV",
            &["compare", "runs/results.csv", "--top", "10"],
            200.0,
        ),
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

/// Results of a search: so many trials with so many seeds each.
fn results(trials: u64, seeds: u64) -> ResultTable {
    let row = |trial: u64, seed: u64| {
        let noise = (trial * 7919 + seed * 104_729) % 1000;
        let metric = |place: u64| 0.6 + ((noise + place * 31) % 1000) as f64 / 5000.0;
        let names = ["accuracy", "balanced_accuracy", "macro_f1", "mcc", "nll", "brier", "ece"];
        ResultRow {
            run: "20260101T000000Z-search-ab12cd".into(),
            pipeline: "search".into(),
            stage: "score".into(),
            trial: Some(trial),
            seed,
            split: "dev".into(),
            n: 500,
            params: [
                ("learning_rate".to_owned(), (1e-6 * (1 + trial) as f64).into()),
                ("shots".to_owned(), 8.into()),
            ]
            .into(),
            metrics: (0..)
                .zip(names)
                .map(|(place, name)| (name.to_owned(), metric(place)))
                .collect(),
            ..ResultRow::default()
        }
    };
    ResultTable {
        rows: (0..trials).flat_map(|trial| (0..seeds).map(move |seed| row(trial, seed))).collect(),
    }
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
    let mut text = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.3 } \
                    } }\n"
        .to_owned();
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
