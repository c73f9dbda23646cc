//! The training speed of encoders of common sizes.

use serde::Serialize;

use super::subject::{Size, Subject, steps};
use crate::base::clock::Stopwatch;
use crate::engine::{Device, EngineError, Place, Precision, Runtime, Trainer};

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    pub model: String,
    pub batch: usize,
    pub length: usize,
    pub precision: &'static str,
    pub backend: &'static str,
    /// The median of the rounds.
    pub step_ms: f64,
    pub examples_per_second: f64,
}

/// Word tables have the length that small data sets need; see the compact vocabulary of `train`.
const ROWS: usize = 2000;
const MINILM: Size = Size {
    name: "MiniLM-L6",
    hidden: 384,
    layers: 6,
    heads: 12,
    vocabulary: ROWS,
    batch: 32,
    length: 128,
};
const BERT: Size = Size {
    name: "BERT-base",
    hidden: 768,
    layers: 12,
    heads: 12,
    vocabulary: ROWS,
    batch: 32,
    length: 128,
};
/// A size for a few seconds on a CPU.
const ON_HOST: Size = Size { batch: 8, length: 32, ..MINILM };

const ROUNDS: u64 = 3;

/// Measures training with dropout on a device. A failed measurement is returned as its name and
/// error.
pub(super) fn measure(
    runtime: &Runtime,
    device: Device,
) -> Vec<Result<Speed, (String, EngineError)>> {
    let place = Place::of(device);
    let (sizes, precisions, warm_up, count): (&[Size], &[Precision], u64, u64) = match place {
        Place::Host => (&[ON_HOST], &[Precision::Fp32], 2, 4),
        Place::Gpu(_) => (&[MINILM, BERT], &Precision::ALL, 16, 32),
    };
    let mut found = Vec::new();
    for &size in sizes {
        for &precision in precisions {
            let subject = Subject::of(size, place, precision, 0.1);
            let name = |backend: &str| {
                format!("speed of {} in {} by {backend}", size.name, precision.name())
            };
            let timed = |backend, trainer: Result<Box<dyn Trainer>, EngineError>| {
                trainer
                    .and_then(|mut trainer| time(trainer.as_mut(), runtime, size, warm_up, count))
                    .map(|step_ms| Speed {
                        model: size.name.to_owned(),
                        batch: size.batch,
                        length: size.length,
                        precision: precision.name(),
                        backend,
                        step_ms,
                        examples_per_second: size.batch as f64 / step_ms * 1000.0,
                    })
                    .map_err(|error| (name(backend), error))
            };
            found.push(timed(
                "session",
                subject
                    .sessions(runtime, None)
                    .map(|trainer| Box::new(trainer) as Box<dyn Trainer>),
            ));
            if runtime.identity.has_training_api && precision == Precision::Fp32 {
                let trainer = subject.training_api(runtime, device);
                found.push(timed(
                    "training_api",
                    trainer.map(|trainer| Box::new(trainer) as Box<dyn Trainer>),
                ));
            }
        }
    }
    found
}

/// Returns the milliseconds of a step: the median of the means of several rounds, because a device
/// reports its steps only from time to time.
fn time(
    trainer: &mut dyn Trainer,
    runtime: &Runtime,
    size: Size,
    warm_up: u64,
    count: u64,
) -> Result<f64, EngineError> {
    steps(trainer, runtime, size, 0..warm_up)?;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let first = warm_up + round * count;
        let watch = Stopwatch::start();
        steps(trainer, runtime, size, first..first + count)?;
        rounds.push(watch.seconds() * 1000.0 / count as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[rounds.len() / 2])
}
