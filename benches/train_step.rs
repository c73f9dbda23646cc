//! Times whole training steps (loss, gradients, clipping, AdamW) of a MiniLM-sized BERT: our two
//! backends and PyTorch eager, in turn, and compares the most memory that each has had.
//!
//! `cargo bench --bench train_step -- [--python PYTHON] [--threads N] [--rounds N] [--shapes
//! 8x32,16x64]`. Without `--python` (an interpreter with what benches/peers/requirements.txt names)
//! PyTorch is left out; so is the training API where the ONNX Runtime that `ORT_DYLIB_PATH` names
//! has none. Each side is a process of its own, and while one works, the others wait for their
//! input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use ndarray::ArrayD;
use pipe::base::clock::Stopwatch;
use pipe::base::report::Silent;
use pipe::engine::backend::binding::{Feed, Parameters};
use pipe::engine::{
    AdamW, ApiTrainer, Artifacts, Clipping, Device, Kernels, OptimizerConfig, ParameterGroup, Part,
    Place, Precision, Recipe, Runtime, SessionTrainer, Trainer,
};
use pipe::model::encoders::bert::BERT;
use pipe::model::{Activation, Config, Dropout, Head, NetworkOptions, Pooling, TrainableNetwork};

type AnyError = Box<dyn std::error::Error>;

/// Distinct tokens of a small data set; PyTorch trains the whole table of 30 522 rows.
const VOCABULARY: usize = 600;
const SHAPES: &str = "8x32,16x64,16x128";
const STEPS_PER_ROUND: usize = 5;
const WARM_UP: usize = 3;
const LEARNING_RATE: f64 = 5e-5;
/// Between two turns: threads of the one before go on looking for work for 200 ms (OpenMP's habit)
/// and would take the next one's time.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(400);

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        arguments
            .iter()
            .position(|argument| argument == flag)
            .and_then(|at| arguments.get(at + 1))
            .cloned()
    };
    let threads: usize = value("--threads").map_or(Ok(2), |text| text.parse())?;
    let shapes = value("--shapes").unwrap_or_else(|| SHAPES.to_owned());
    if let Some(backend) = value("--serve") {
        return serve(&backend, &shapes, threads);
    }
    let rounds: usize = value("--rounds").map_or(Ok(5), |text| text.parse())?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:>11}  {:<12} {:>8} {:>9} {:>7}   {:>9} {:>6}",
        "batch x len", "side", "ms", "ex/s", "MB", "x PyTorch", "memory"
    )?;
    for shape in shapes.split(',') {
        let (batch, _) = sizes(shape)?;
        let mut sides = vec![Side::own("session", shape, threads)?];
        if Runtime::identify(Device::Cpu)?.has_training_api {
            sides.push(Side::own("training_api", shape, threads)?);
        }
        if let Some(python) = value("--python") {
            sides.push(Side::pytorch(&python, shape, threads)?);
        }
        for _ in 0..rounds {
            for side in &mut sides {
                std::thread::sleep(PAUSE);
                side.steps(STEPS_PER_ROUND)?;
            }
        }
        let figures = sides
            .iter_mut()
            .map(|side| Ok((side.name, median(&side.times), side.peak_mb()?)))
            .collect::<Result<Vec<_>, AnyError>>()?;
        let peer = figures
            .iter()
            .find(|(name, ..)| *name == "PyTorch")
            .map_or((f64::NAN, f64::NAN), |f| (f.1, f.2));
        for (name, milliseconds, megabytes) in figures {
            writeln!(
                out,
                "{shape:>11}  {name:<12} {milliseconds:>8.1} {:>9.1} {megabytes:>7.0}   {:>9.2} \
                 {:>6.2}",
                batch as f64 * 1000.0 / milliseconds,
                peer.0 / milliseconds,
                megabytes / peer.1
            )?;
        }
    }
    Ok(())
}

fn sizes(shape: &str) -> Result<(usize, usize), AnyError> {
    let (batch, length) = shape.split_once('x').ok_or("a shape is BATCHxLENGTH")?;
    Ok((batch.parse()?, length.parse()?))
}

/// Answers on stdout what comes on stdin, as benches/peers/train_step.py does.
fn serve(backend: &str, shape: &str, threads: usize) -> Result<(), AnyError> {
    let (batch, length) = sizes(shape)?;
    let runtime = Runtime::get(Device::Cpu, threads, &Silent)?;
    let mut own = Own::new(runtime, backend == "training_api", batch, length)?;
    own.steps(WARM_UP)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{}",
        serde_json::json!({ "backend": backend, "runtime": runtime.identity.version })
    )?;
    for line in std::io::stdin().lines() {
        let answer = match line?.split_once(' ') {
            Some(("RUN", count)) => serde_json::json!({ "step_ms": own.steps(count.parse()?)? }),
            _ => serde_json::json!({ "peak_rss_mb": peak_mb() }),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

/// Returns the most resident memory that this process has had, in MiB; NaN where the system does
/// not say.
fn peak_mb() -> f64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib / 1024.0)
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Own {
    runtime: &'static Runtime,
    trainer: Box<dyn Trainer>,
    learning_rates: Vec<f64>,
    feeds: Vec<(String, Feed)>,
    step: i64,
}

impl Own {
    fn new(
        runtime: &'static Runtime,
        training_api: bool,
        batch: usize,
        length: usize,
    ) -> Result<Own, AnyError> {
        let config = Config {
            encoder: &BERT,
            vocabulary: 30_522,
            hidden: 384,
            embedding: 384,
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
            head_reads: Pooling::Cls,
            own: serde_json::Value::Null,
        };
        let TrainableNetwork { network, loss } = network(&config, Dropout::Keyed)?;
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
        // The training API has one weight decay for all; the work is the same.
        let decays = |name: &String| {
            training_api || !(name.ends_with(".bias") || name.contains("LayerNorm"))
        };
        let (decaying, spared): (Vec<String>, Vec<String>) =
            names.iter().cloned().partition(decays);
        let groups = [(decaying, 0.01), (spared, 0.0)];
        let group = |(parameters, weight_decay): (Vec<String>, f32)| ParameterGroup {
            parameters,
            learning_rate: LEARNING_RATE,
            weight_decay,
            pull: 0.0,
        };
        let optimizer = OptimizerConfig {
            update: Arc::new(AdamW::default()),
            gradient_clip: Some(1.0),
            groups: groups.into_iter().filter(|(names, _)| !names.is_empty()).map(group).collect(),
        };
        let trainer: Box<dyn Trainer> = if training_api {
            let evaluation = self::network(&config, Dropout::Off)?.graph_of_both();
            let clipping = Clipping::InTraining { parts: 1 };
            let values = |name: &str| weights.get(name);
            let artifacts = Artifacts::new(
                network.graph,
                loss,
                &evaluation,
                &names,
                &optimizer,
                clipping,
                values,
            )?;
            Box::new(ApiTrainer::new(runtime, Device::Cpu, artifacts)?)
        } else {
            let weights = weights.iter().map(|(name, array)| (name.as_str(), array));
            let parameters = Parameters::new(Place::Host, weights)?;
            let recipe = Recipe { loss, trainable: names, optimizer, precision: Precision::Fp32 };
            Box::new(SessionTrainer::new(runtime, network.graph, parameters, recipe)?)
        };
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
        let learning_rates = vec![LEARNING_RATE; trainer.groups()];
        Ok(Own { runtime, trainer, learning_rates, feeds, step: 0 })
    }

    fn steps(&mut self, count: usize) -> Result<Vec<f64>, AnyError> {
        let mut times = Vec::new();
        for _ in 0..count {
            let watch = Stopwatch::start();
            self.step += 1;
            self.trainer.accumulate(self.runtime, self.feeds.clone(), Part::whole(self.step))?;
            self.trainer.update(&self.learning_rates)?;
            self.trainer.outcomes()?;
            times.push(watch.seconds() * 1000.0);
        }
        Ok(times)
    }
}

/// Builds the network with its loss.
fn network(config: &Config, dropout: Dropout) -> Result<TrainableNetwork, AnyError> {
    let options = NetworkOptions {
        kernels: Kernels::Fused,
        dropout,
        word_rows: VOCABULARY,
        positions_in_graph: false,
        packed: false,
    };
    Ok(TrainableNetwork::classifier(config, Head::Auto, 2, options)?)
}

/// One that is measured, in a process of its own that stays warm between rounds.
struct Side {
    name: &'static str,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    times: Vec<f64>,
}

impl Side {
    fn own(backend: &'static str, shape: &str, threads: usize) -> Result<Side, AnyError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", backend, "--shapes", shape, "--threads", &threads.to_string()]);
        Side::start(backend, command)
    }

    fn pytorch(python: &str, shape: &str, threads: usize) -> Result<Side, AnyError> {
        let (batch, length) = sizes(shape)?;
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/train_step.py"));
        for (flag, value) in [
            ("--batch", batch),
            ("--length", length),
            ("--threads", threads),
            ("--warmup", WARM_UP),
        ] {
            command.args([flag, &value.to_string()]);
        }
        Side::start("PyTorch", command)
    }

    fn start(name: &'static str, mut command: Command) -> Result<Side, AnyError> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take();
        let output = process.stdout.take().map(BufReader::new).ok_or("no output")?;
        let mut side = Side { name, process, input, output, times: Vec::new() };
        // What it says of itself, once it is warm.
        side.answer()?;
        Ok(side)
    }

    fn steps(&mut self, count: usize) -> Result<(), AnyError> {
        let answer = self.ask(&format!("RUN {count}"))?;
        let times: Vec<f64> = serde_json::from_value(answer["step_ms"].clone())?;
        if times.len() != count {
            return Err(format!("{}: {answer}", self.name).into());
        }
        self.times.extend(times);
        Ok(())
    }

    fn peak_mb(&mut self) -> Result<f64, AnyError> {
        let answer = self.ask("PEAK")?;
        answer["peak_rss_mb"].as_f64().ok_or_else(|| format!("{}: {answer}", self.name).into())
    }

    fn ask(&mut self, command: &str) -> Result<serde_json::Value, AnyError> {
        if let Some(input) = &mut self.input {
            writeln!(input, "{command}")?;
            input.flush()?;
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<serde_json::Value, AnyError> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)
            .map_err(|error| format!("{}: {error}: {line}", self.name))?)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // The end of its input is the end of its work.
        self.input = None;
        let _ = self.process.wait();
    }
}
