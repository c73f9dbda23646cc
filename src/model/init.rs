//! New weights for what a pretrained folder does not hold: the classification head.

use ndarray::ArrayD;
use rand::Rng;

use super::encoders::Config;
use super::pretrained::Weights;
use crate::base::seed::stream;
use crate::engine::{Graph, Initial};

/// Draws every parameter of `graph` that is not there, by its name and shape: weights normal with
/// the configuration's deviation, biases 0, norms 1, as `transformers` does; those of adapters as
/// `peft` does. Each has its own random stream, so that one more parameter changes no other.
pub fn missing(
    graph: &Graph,
    config: &Config,
    is_there: impl Fn(&str, &[usize]) -> bool,
    seed: u64,
) -> Weights {
    let mut drawn = Weights::new();
    for (name, var) in graph.parameters() {
        let shape = graph.known_shape(var);
        if is_there(name, &shape) {
            continue;
        }
        let random = || stream(seed, &["train", "initial weights", name], 0);
        let array = match graph.marks(name).initial {
            Initial::Zeros => ArrayD::zeros(shape),
            Initial::Ones => ArrayD::ones(shape),
            Initial::Normal => {
                let mut random = random();
                let deviation = config.initializer_range;
                ArrayD::from_shape_simple_fn(shape, || normal(&mut random) * deviation)
            }
            Initial::Uniform => {
                let mut random = random();
                let bound = 1.0 / (shape.last().copied().unwrap_or(1).max(1) as f64).sqrt();
                let value = || ((2.0 * unit(random.next_u64()) - 1.0) * bound) as f32;
                ArrayD::from_shape_simple_fn(shape, value)
            }
        };
        drawn.insert(name.to_owned(), array);
    }
    drawn
}

/// Returns a number above 0 and below 1.
fn unit(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// Returns a standard normal number (Box & Muller 1958).
fn normal(random: &mut impl Rng) -> f32 {
    let (radius, angle) = (unit(random.next_u64()), unit(random.next_u64()));
    ((-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_standard_normal() {
        let mut random = stream(1, &["test"], 0);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|_| f64::from(normal(&mut random))).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance =
            values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(n);
        let beyond_two =
            values.iter().filter(|value| value.abs() > 2.0).count() as f64 / f64::from(n);
        assert!(
            mean.abs() < 0.015
                && (variance - 1.0).abs() < 0.02
                && (beyond_two - 0.0455).abs() < 0.003,
            "{mean} {variance} {beyond_two}"
        );
    }
}
