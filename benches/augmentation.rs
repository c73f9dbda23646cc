//! Times augmentation: EDA's four operations as texts per second beside nlpaug and TextAttack, and
//! how long Markov chains and hidden Markov models take to fit.
//!
//! `cargo bench --bench augmentation -- --texts sst2/train.csv [--wordnet DIR] [--python PYTHON]
//! [--rounds N] [--operations random_swap,…] [--limit-textattack N]`. The table has a column
//! `text`. Without `--python` (an interpreter with what benches/peers/requirements.txt names) the
//! peers are left out. `--wordnet` is the folder of WordNet's files, by default Debian's. All sides
//! take their synonyms from there and make one text of each. Goals: 100 times nlpaug's texts per
//! second; Markov chains of 7000 texts in 2 s, hidden Markov models in 20 s.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use pipe::base::clock::Stopwatch;
use pipe::base::report::{Progress, Report};
use pipe::base::seed::key;
use pipe::data::{DataSet, Example, Splits, Task, source};
use pipe::engine::{Device, Runtime};
use pipe::stages::augment::methods::contract::{Originals, Request};
use pipe::stages::augment::{Augment, MethodConfig};
use pipe::stages::contract::stage::Piece;
use pipe::stages::{Ctx, Inputs, Output, Stage, StageError};
use rayon::prelude::*;
use serde_json::Value;

type AnyError = Box<dyn std::error::Error>;

const OPERATIONS: &str = "synonym_replacement,random_insertion,random_swap,random_deletion";

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        arguments
            .iter()
            .position(|argument| argument == flag)
            .and_then(|at| arguments.get(at + 1))
            .cloned()
    };
    let Some(texts) = value("--texts") else {
        return Err("name a table with a column `text`: `cargo bench --bench augmentation -- \
                    --texts FILE.csv`"
            .into());
    };
    let wordnet = value("--wordnet").unwrap_or_else(|| "/usr/share/wordnet".to_owned());
    let rounds: usize = value("--rounds").map_or(Ok(7), |text| text.parse())?;
    let few = value("--limit-textattack").unwrap_or_else(|| "300".to_owned());
    let python = value("--python");
    let rows = source::read(Path::new(&texts), &source::Reading::of("text", "label"))?.rows;
    let mut labels: Vec<String> = rows.iter().map(|row| row.label.clone()).collect();
    labels.sort();
    labels.dedup();
    let examples = rows.into_iter().map(|row| {
        let class = labels.iter().position(|label| *label == row.label).unwrap_or_default();
        Example::original(format!("row-{}", row.place.row), row.text, class)
    });
    let splits = Splits { train: examples.collect(), ..Splits::default() };
    let data =
        DataSet { task: Task::Classes { labels: labels.clone() }, splits, ..DataSet::default() };
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} texts of {} classes, {} threads\n",
        data.splits.train.len(),
        labels.len(),
        rayon::current_num_threads()
    )?;
    writeln!(
        out,
        "{:<20} {:>12} {:>12} {:>12} {:>8} {:>12} {:>8}",
        "operation", "pipe, /s", "stage, /s", "nlpaug, /s", "ratio", "TextAttack", "ratio"
    )?;
    let operations = value("--operations").unwrap_or_else(|| OPERATIONS.to_owned());
    for operation in operations.split(',') {
        let synonyms = if operation.starts_with("random_s") || operation.ends_with("deletion") {
            String::new()
        } else {
            format!(", \"synonyms\": {{\"wordnet\": {}}}", Value::from(wordnet.as_str()))
        };
        let config: MethodConfig =
            serde_json::from_str(&format!("{{\"{operation}\": {{\"rate\": 0.1{synonyms}}}}}"))?;
        let (mut alone, mut whole, mut nlpaug) = (Vec::new(), Vec::new(), Vec::new());
        // In turn, so that a slow minute of the machine slows all sides.
        for _ in 0..rounds {
            alone.push(generate(&config, &data)?);
            whole.push(stage(&config, &data)?);
            if let Some(python) = &python {
                nlpaug.push(peer(python, "nlpaug", operation, &wordnet, &texts, None)?);
            }
        }
        let textattack = match &python {
            Some(python) => peer(python, "textattack", operation, &wordnet, &texts, Some(&few))?,
            None => f64::NAN,
        };
        let (alone, whole, nlpaug) = (median(alone), median(whole), median(nlpaug));
        writeln!(
            out,
            "{operation:<20} {alone:>12.0} {whole:>12.0} {nlpaug:>12.0} {:>8.0} \
             {textattack:>12.0} {:>8.0}",
            alone / nlpaug,
            alone / textattack
        )?;
    }
    writeln!(out, "\n{:<20} {:>12} {:>12}", "fit", "median s", "goal s")?;
    for (name, settings, goal) in [("markov", "{}", 2.0), ("hmm", "{}", 20.0)] {
        let config: MethodConfig = serde_json::from_str(&format!("{{\"{name}\": {settings}}}"))?;
        let mut times = Vec::new();
        for _ in 0..rounds.min(5) {
            let watch = Stopwatch::start();
            config
                .method()
                .fit(&Quiet, &originals(&data), 13)
                .map_err(|error| error.to_string())?;
            times.push(watch.seconds());
        }
        writeln!(out, "{name:<20} {:>12.2} {goal:>12.0}", median(times))?;
    }
    Ok(())
}

fn originals(data: &DataSet) -> Originals<'_> {
    Originals::new(data.labels(), data.splits.train.iter().collect())
}

/// How many texts are made of each original: one takes milliseconds.
const COPIES: usize = 20;

/// Returns the texts per second of a fitted method, random streams included.
fn generate(config: &MethodConfig, data: &DataSet) -> Result<f64, AnyError> {
    let generator =
        config.method().fit(&Quiet, &originals(data), 13).map_err(|error| error.to_string())?;
    let watch = Stopwatch::start();
    let mut made = 0;
    for copy in 1..=COPIES {
        let request = |original| {
            Request::new(
                original,
                copy,
                key(13, &["augment", config.name(), &original.id], copy as u64),
            )
        };
        let mut requests: Vec<Request<'_>> =
            data.splits.train.par_iter().with_min_len(64).map(request).collect();
        let mut references: Vec<&mut Request<'_>> = requests.iter_mut().collect();
        let texts =
            generator.generate(&Quiet, &mut references).map_err(|error| error.to_string())?;
        made += texts.iter().flatten().count();
    }
    let seconds = watch.seconds();
    if made * 2 < COPIES * data.splits.train.len() {
        return Err("fewer than half of the texts could be made".into());
    }
    Ok((COPIES * data.splits.train.len()) as f64 / seconds)
}

/// Returns the texts per second of the whole stage: with the fit, the check for leaks and repeats,
/// and parents' ids.
fn stage(config: &MethodConfig, data: &DataSet) -> Result<f64, AnyError> {
    let augment = Augment {
        data: pipe::stages::StageId("data".into()),
        methods: vec![config.clone()],
        keep: None,
    };
    let mut inputs = Inputs::default();
    inputs.insert("data", std::sync::Arc::new(data.clone()));
    let watch = Stopwatch::start();
    augment.run(&Quiet, &inputs).map_err(|error| error.to_string())?;
    Ok(data.splits.train.len() as f64 / watch.seconds())
}

/// Returns a peer's texts per second; NaN where it has no such operation.
fn peer(
    python: &str,
    tool: &str,
    operation: &str,
    wordnet: &str,
    texts: &str,
    limit: Option<&str>,
) -> Result<f64, AnyError> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/augment.py");
    let mut command = Command::new(python);
    command.args([
        script,
        "--tool",
        tool,
        "--operation",
        operation,
        "--rate",
        "0.1",
        "--wordnet",
        wordnet,
        "--texts",
        texts,
    ]);
    command.args(limit.into_iter().flat_map(|limit| ["--limit", limit]));
    let output = command.stderr(std::process::Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!(
            "{tool}, {operation}: {}; run {script} by hand to see why",
            output.status
        )
        .into());
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let rate = answer["texts"]
        .as_f64()
        .zip(answer["seconds"].as_f64())
        .map(|(texts, seconds)| texts / seconds);
    Ok(rate.unwrap_or(f64::NAN))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A context that shows nothing.
struct Quiet;

impl Report for Quiet {
    fn progress(&self, _: &Progress<'_>) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

impl Ctx for Quiet {
    fn stage(&self) -> &str {
        "bench"
    }
    fn seed(&self) -> u64 {
        13
    }
    fn folder(&self) -> &Path {
        Path::new(".")
    }
    fn scratch(&self) -> &Path {
        Path::new(".")
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }
    fn runtime(&self) -> Result<&Runtime, StageError> {
        unreachable!("nothing here is computed by ONNX Runtime")
    }
    fn shared(&self, piece: &dyn Piece) -> Result<Arc<dyn Output>, StageError> {
        piece.compute(self)
    }
    fn interrupted(&self) -> bool {
        false
    }
}
