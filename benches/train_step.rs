//! Times whole training steps (loss, gradients, clipping, AdamW) of a MiniLM-sized BERT against PyTorch eager, in turn, and compares the
//! most memory that both have had.
//!
//! `cargo bench --bench train_step -- [--python PYTHON] [--threads N] [--rounds N]`. Without `--python` (an interpreter with what
//! benches/peers/requirements.txt names) only our own figures are printed. Each shape is measured in a pair of processes of its own; while one
//! side works, the other waits for its input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ndarray::ArrayD;
use pipe::base::clock::Stopwatch;
use pipe::base::report::Silent;
use pipe::engine::binding::{Feed, Parameters};
use pipe::engine::{
    Algorithm, Device, Group, Kernels, OptimizerConfig, Part, Runtime, SessionTrainer, Trainer,
};
use pipe::model::{Activation, Architecture, Config, Dropout, Head, Network, NetworkOptions};

type AnyError = Box<dyn std::error::Error>;

/// Distinct tokens of a small data set; PyTorch trains the whole table of 30 522 rows.
const VOCABULARY: usize = 600;
const SHAPES: [&str; 3] = ["8x32", "16x64", "16x128"];
const STEPS_PER_ROUND: usize = 5;

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        arguments.iter().position(|argument| argument == flag).and_then(|at| arguments.get(at + 1)).cloned()
    };
    if let Some(shape) = value("--shape") {
        let threads: usize = value("--threads").map_or(Ok(2), |text| text.parse())?;
        let rounds: usize = value("--rounds").map_or(Ok(5), |text| text.parse())?;
        return measure(&shape, threads, rounds, value("--python").as_deref());
    }
    writeln!(
        std::io::stdout(),
        "{:>11} {:>9} {:>9} {:>6} {:>10} {:>10} {:>8} {:>8} {:>6}",
        "batch x len",
        "pipe ms",
        "torch ms",
        "ratio",
        "pipe ex/s",
        "torch ex/s",
        "pipe MB",
        "torch MB",
        "share"
    )?;
    for shape in SHAPES {
        let status =
            Command::new(std::env::current_exe()?).args(&arguments[1..]).args(["--shape", shape]).status()?;
        if !status.success() {
            return Err(format!("{shape}: {status}").into());
        }
    }
    Ok(())
}

/// Measures one shape and prints its line.
fn measure(shape: &str, threads: usize, rounds: usize, python: Option<&str>) -> Result<(), AnyError> {
    let (batch, length) = shape.split_once('x').ok_or("a shape is BATCHxLENGTH")?;
    let (batch, length): (usize, usize) = (batch.parse()?, length.parse()?);
    let runtime = Runtime::get(Device::Cpu, threads, &Silent)?;
    let mut own = Own::new(runtime, batch, length)?;
    let mut peer = python.map(|python| Peer::new(python, batch, length, threads)).transpose()?;
    own.steps(3)?;
    let (mut own_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        own_times.extend(own.steps(STEPS_PER_ROUND)?);
        if let Some(peer) = &mut peer {
            peer_times.extend(peer.steps(STEPS_PER_ROUND)?);
        }
    }
    let (a, b) = (median(own_times), median(peer_times));
    let (own_peak, peer_peak) =
        (peak_mb(), peer.as_mut().and_then(|peer| peer.peak_mb().ok()).unwrap_or(f64::NAN));
    let rate = |milliseconds: f64| batch as f64 * 1000.0 / milliseconds;
    writeln!(
        std::io::stdout(),
        "{shape:>11} {a:>9.1} {b:>9.1} {:>6.2} {:>10.1} {:>10.1} {own_peak:>8.0} {peer_peak:>8.0} {:>6.2}",
        b / a,
        rate(a),
        rate(b),
        own_peak / peer_peak
    )?;
    Ok(())
}

/// Returns the most resident memory that this process has had, in MiB; NaN where the system does not say.
fn peak_mb() -> f64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib / 1024.0)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Own {
    runtime: &'static Runtime,
    trainer: SessionTrainer,
    feeds: Vec<(String, Feed)>,
    step: i64,
}

impl Own {
    fn new(runtime: &'static Runtime, batch: usize, length: usize) -> Result<Own, AnyError> {
        let config = Config {
            architecture: Architecture::Bert,
            vocabulary: 30_522,
            hidden: 384,
            layers: 6,
            heads: 12,
            intermediate: 1536,
            activation: Activation::Gelu,
            positions: 512,
            token_types: 2,
            layer_norm_epsilon: 1e-12,
            hidden_dropout: 0.1,
            attention_dropout: 0.1,
            classifier_dropout: 0.1,
            padding_id: 0,
            initializer_range: 0.02,
        };
        let options = NetworkOptions {
            kernels: Kernels::Fused,
            dropout: Dropout::Keyed,
            word_rows: VOCABULARY,
            positions_in_graph: false,
        };
        let mut network = Network::new(&config, Head::Auto, 2, options)?;
        let targets = network
            .graph
            .input("targets", pipe::engine::TensorFact::f32(vec![pipe::engine::Dim::Named("B"), 2.into()]));
        let loss = network.graph.cross_entropy(network.logits, targets)?;
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        let mut weights = std::collections::BTreeMap::new();
        for (name, var) in network.graph.parameters() {
            let shape: Vec<usize> = network
                .graph
                .fact(var)
                .shape
                .iter()
                .map(|dim| if let pipe::engine::Dim::Fixed(size) = dim { *size } else { 0 })
                .collect();
            let one = name.ends_with("LayerNorm.weight");
            let array = ArrayD::from_shape_simple_fn(shape, || {
                if one { 1.0 } else { (random() as f32 / 16_777_216.0 - 0.5) * 0.07 }
            });
            weights.insert(name.to_owned(), array);
        }
        let names: Vec<String> = weights.keys().cloned().collect();
        let groups = names
            .iter()
            .map(|name| {
                let decays = !name.ends_with(".bias") && !name.contains("LayerNorm");
                Group { weight_decay: if decays { 0.01 } else { 0.0 }, rate_factor: 1.0 }
            })
            .collect();
        let algorithm = Algorithm::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let optimizer = OptimizerConfig { algorithm, gradient_clip: Some(1.0), groups };
        let parameters = Parameters::new(weights.iter().map(|(name, array)| (name.as_str(), array)))?;
        let trainer = SessionTrainer::new(runtime, network.graph, loss, parameters, names, optimizer)?;
        let ids = (0..batch * length).map(|_| i64::from(random()) % VOCABULARY as i64).collect();
        let positions = (0..batch * length).map(|index| (index % length) as i64).collect();
        let targets = (0..batch)
            .flat_map(|_| if random() % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] })
            .map(|t| t / batch as f32)
            .collect();
        let tokens = vec![batch, length];
        let feeds = vec![
            ("input_ids".to_owned(), Feed::I64(tokens.clone(), ids)),
            ("attention_mask".to_owned(), Feed::I64(tokens.clone(), vec![1; batch * length])),
            ("position_ids".to_owned(), Feed::I64(tokens, positions)),
            ("targets".to_owned(), Feed::F32(vec![batch, 2], targets)),
        ];
        Ok(Own { runtime, trainer, feeds, step: 0 })
    }

    fn steps(&mut self, count: usize) -> Result<Vec<f64>, AnyError> {
        let mut times = Vec::new();
        for _ in 0..count {
            let watch = Stopwatch::start();
            self.step += 1;
            self.trainer.accumulate(self.runtime, self.feeds.clone(), Part::whole(self.step))?;
            self.trainer.update(5e-5)?;
            times.push(watch.seconds() * 1000.0);
        }
        Ok(times)
    }
}

/// PyTorch in a process of its own, which stays warm between rounds; see benches/peers/train_step.py.
struct Peer {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn new(python: &str, batch: usize, length: usize, threads: usize) -> std::io::Result<Peer> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/train_step.py");
        let mut process = Command::new(python)
            .arg(script)
            .args([
                "--batch",
                &batch.to_string(),
                "--length",
                &length.to_string(),
                "--threads",
                &threads.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output =
            process.stdout.take().map(BufReader::new).ok_or_else(|| std::io::Error::other("no output"))?;
        let mut peer = Peer { process, input, output };
        // What it says of itself, once it is warm.
        peer.answer()?;
        Ok(peer)
    }

    fn steps(&mut self, count: usize) -> std::io::Result<Vec<f64>> {
        let answer = self.ask(&format!("RUN {count}"))?;
        let times: Vec<f64> = answer["step_ms"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_f64)
            .collect();
        if times.len() == count { Ok(times) } else { Err(std::io::Error::other(answer.to_string())) }
    }

    fn peak_mb(&mut self) -> std::io::Result<f64> {
        let answer = self.ask("PEAK")?;
        answer["peak_rss_mb"].as_f64().ok_or_else(|| std::io::Error::other(answer.to_string()))
    }

    fn ask(&mut self, command: &str) -> std::io::Result<serde_json::Value> {
        if let Some(input) = &mut self.input {
            writeln!(input, "{command}")?;
            input.flush()?;
        }
        self.answer()
    }

    fn answer(&mut self) -> std::io::Result<serde_json::Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input is the end of its work.
        self.input = None;
        let _ = self.process.wait();
    }
}
