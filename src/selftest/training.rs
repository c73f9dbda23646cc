//! Compares training on a device with training on the host.

use ndarray::ArrayD;

use super::subject::{Size, Subject, steps};
use crate::engine::backend::binding::{Feed, Parameters};
use crate::engine::graph::build::{DropoutAt, DropoutSource};
use crate::engine::{
    Dim, EngineError, Graph, Inference, Kernels, Place, Precision, Runtime, TensorFact, Trainer,
};
use crate::selftest::Verdict;

/// Small enough for a CPU, with every operator of a large encoder.
pub(super) const SMALL: Size =
    Size { name: "small", hidden: 64, layers: 2, heads: 4, vocabulary: 200, batch: 8, length: 24 };

const STEPS: u64 = 50;

/// The largest difference from the host's loss in single precision over fifty steps.
fn distance(place: Place, precision: Precision) -> f32 {
    match (place, precision) {
        (Place::Host, Precision::Fp32) => 1e-4,
        (Place::Gpu(_), Precision::Fp32) => 1e-3,
        (_, Precision::Tf32 | Precision::Fp16) => 2e-2,
        (_, Precision::Bf16) => 8e-2,
    }
}

/// Opens a session and runs it. A failure here comes from the library or the driver.
pub(super) fn opens(runtime: &Runtime, place: Place) -> Result<Verdict, EngineError> {
    let none: [(&str, &ArrayD<f32>); 0] = [];
    let mut graph = Graph::new(Kernels::Standard);
    let x = graph.input("x", TensorFact::f32(vec![Dim::Fixed(2)]));
    let sum = graph.reduce_sum(x, &[0], true)?;
    graph.output("sum", sum);
    let mut inference = Inference::new(runtime, &graph, &Parameters::new(place, none)?)?;
    let found = inference.run([("x".to_owned(), Feed::F32(vec![2], vec![1.0, 2.0]))])?;
    let sum: f32 = found.iter().sum();
    let detail = format!("1 + 2 = {sum}");
    Ok(if sum == 3.0 { Verdict::Sound(detail) } else { Verdict::Wrong(detail) })
}

/// Compares the losses of fifty steps with the host's fused kernels in single precision.
pub(super) fn fifty_steps(
    runtime: &Runtime,
    place: Place,
    precision: Precision,
) -> Result<Verdict, EngineError> {
    if (place, precision) == (Place::Host, Precision::Tf32) {
        return Ok(Verdict::Impossible("only for GPUs".to_owned()));
    }
    let host = Subject::of(SMALL, Place::Host, Precision::Fp32, 0.0);
    let here = Subject { kernels: Kernels::Standard, ..Subject::of(SMALL, place, precision, 0.0) };
    let expected = steps(&mut host.sessions(runtime, None)?, runtime, SMALL, 0..STEPS)?;
    let found = steps(&mut here.sessions(runtime, None)?, runtime, SMALL, 0..STEPS)?;
    let allowed = distance(place, precision);
    let skipped = found.iter().filter(|outcome| outcome.skipped).count();
    let largest = expected
        .iter()
        .zip(&found)
        .map(|(expected, found)| (expected.loss() - found.loss()).abs())
        .fold(0.0, f32::max);
    let (first, last) = (expected.first(), expected.last());
    let detail = format!(
        "losses within {largest:.1e} of the host's in fp32 (allowed {allowed:.0e}), which fell \
         from {:.3} to {:.3}; {skipped} steps skipped",
        first.map_or(f32::NAN, |outcome| outcome.loss()),
        last.map_or(f32::NAN, |outcome| outcome.loss()),
    );
    // Written so that a NaN loss counts as wrong.
    let is_near = largest <= allowed && found.iter().all(|outcome| outcome.loss().is_finite());
    Ok(if is_near && found.len() as u64 == STEPS {
        Verdict::Sound(detail)
    } else {
        Verdict::Wrong(detail)
    })
}

/// Compares every parameter after one step with the host's. The device updates parameters in place.
pub(super) fn update_in_place(runtime: &Runtime, place: Place) -> Result<Verdict, EngineError> {
    let of = |subject: Subject| -> Result<_, EngineError> {
        let mut trainer = subject.sessions(runtime, None)?;
        let before = trainer.trained()?;
        steps(&mut trainer, runtime, SMALL, 0..1)?;
        Ok((before, trainer.trained()?))
    };
    let (before, expected) = of(Subject::of(SMALL, Place::Host, Precision::Fp32, 0.0))?;
    let here = Subject::of(SMALL, place, Precision::Fp32, 0.0);
    let (_, found) = of(Subject { kernels: Kernels::Standard, ..here })?;
    let (mut largest, mut worst, mut idle) = (0.0_f32, String::new(), 0);
    for (name, expected) in &expected {
        let Some(found) = found.get(name) else {
            return Err(EngineError::MissingParameter(name.clone()));
        };
        // A gradient that is 0 except for rounding may have either sign, and AdamW's first step
        // depends on the sign alone. Such elements are not compared.
        let off = expected
            .iter()
            .zip(found)
            .zip(&before[name])
            .map(|((expected, found), before)| {
                (expected - found).abs().min((expected - before).abs())
            })
            .sum::<f32>();
        let moved: f32 =
            expected.iter().zip(&before[name]).map(|(after, before)| (after - before).abs()).sum();
        idle += usize::from(moved == 0.0);
        let share = off / moved.max(f32::MIN_POSITIVE);
        if moved > 0.0 && share > largest && !name.ends_with("key.bias") {
            (largest, worst) = (share, name.clone());
        }
    }
    let detail = format!(
        "{} parameters, {idle} of them idle; the step differs from the host's by at most \
         {largest:.1e} of its length (`{worst}`)",
        expected.len()
    );
    Ok(if largest < 1e-2 && idle < expected.len() / 2 {
        Verdict::Sound(detail)
    } else {
        Verdict::Wrong(detail)
    })
}

/// Checks the masks of the device's generator: the share of dropped elements, and whether places
/// and runs differ.
pub(super) fn dropout(runtime: &Runtime, place: Place) -> Result<Verdict, EngineError> {
    const SIDE: usize = 1000;
    const RATE: f32 = 0.1;
    let none: [(&str, &ArrayD<f32>); 0] = [];
    let parameters = Parameters::new(place, none)?;
    let open = |site: u32| -> Result<Inference, EngineError> {
        let mut graph = Graph::new(Kernels::Standard);
        let shape = vec![Dim::Named("B"), Dim::Fixed(SIDE)];
        let x = graph.input("x", TensorFact::f32(shape));
        let at = DropoutAt { rate: RATE, site, source: DropoutSource::Random(1) };
        let dropped = graph.dropout(x, at)?;
        graph.output("dropped", dropped);
        Inference::new(runtime, &graph, &parameters)
    };
    let ones = || [("x".to_owned(), Feed::F32(vec![SIDE, SIDE], vec![1.0; SIDE * SIDE]))];
    let (mut one, mut other) = (open(1)?, open(2)?);
    let (first, second, elsewhere) = (one.run(ones())?, one.run(ones())?, other.run(ones())?);
    let count = first.len() as f64;
    let zeros = first.iter().filter(|&&value| value == 0.0).count() as f64 / count;
    let mean = first.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    // Four standard deviations of a mean over a million draws.
    let rate = f64::from(RATE);
    let allowed = 4.0 * (rate * (1.0 - rate) / count).sqrt();
    let both = |a: &ArrayD<f32>, b: &ArrayD<f32>| {
        a.iter().zip(b).filter(|&(&a, &b)| a == 0.0 && b == 0.0).count() as f64 / count
    };
    let (again, apart) = (both(&first, &second), both(&first, &elsewhere));
    let detail = format!(
        "{zeros:.4} dropped at a rate of {RATE}, mean {mean:.4}; {again:.4} dropped twice in a \
         row, {apart:.4} in two places (by chance {:.4})",
        rate * rate
    );
    let is_independent = |share: f64| (share - rate * rate).abs() < allowed;
    let is_sound = (zeros - rate).abs() < allowed
        && (mean - 1.0).abs() < allowed / (1.0 - rate)
        && is_independent(again)
        && is_independent(apart);
    Ok(if is_sound { Verdict::Sound(detail) } else { Verdict::Wrong(detail) })
}
