//! Parzen's mixture over several axes: a kernel at every observation, and the prior as one more
//! component.

use std::f64::consts::{PI, SQRT_2};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use statrs::function::erf::{erf, erf_inv};

use crate::search::place::{choose, coordinate};
use crate::search::space::{AxisKind, Space};

/// An observation that gets a kernel.
pub(super) struct Weighted {
    /// A coordinate for each axis of the mixture.
    pub place: Vec<f64>,
    pub weight: f64,
}

/// A density over some axes of a space. Its last component is the prior, which weighs as much as
/// the average observation, so that no place becomes impossible.
pub(super) struct Mixture<'a> {
    /// Running sums of the weights of all components.
    cumulative: Vec<f64>,
    /// The factors of each component that do not depend on the place: its weight and the norms of
    /// its kernels.
    log_factors: Vec<f64>,
    columns: Vec<Column<'a>>,
}

/// The kernels of one axis; a product kernel is a product over axes.
enum Column<'a> {
    /// Normal distributions of one width, truncated at 0 and 1.
    Normal { kind: &'a AxisKind, centres: Vec<f64>, width: f64 },
    /// The same for steps: each has the probability of its part of the unit interval. `distinct`
    /// holds the centres that occur, `which` the index of the centre of each observation.
    Binned { kind: &'a AxisKind, steps: usize, distinct: Vec<f64>, which: Vec<usize>, width: f64 },
    /// The observed choice, or any choice with the probability `blur`.
    Choice { prior: &'a [f64], seen: Vec<usize>, blur: f64 },
}

/// The factor on Scott's rule, which assumes one cluster of points. Good points form several, which
/// shrink over time.
const NARROWING: f64 = 0.6;

/// The smallest width: finer differences matter in no training.
const LEAST_WIDTH: f64 = 0.01;

/// The weight, in observations, that each kernel of a choice leaves to the other choices.
const CHOICE_BLUR: f64 = 2.0;

/// The variance of the uniform distribution over the unit interval.
const UNIFORM_VARIANCE: f64 = 1.0 / 12.0;

/// The smallest probability, so that the logarithm of one that underflows is finite.
const LEAST_PROBABILITY: f64 = 1e-300;

impl<'a> Mixture<'a> {
    pub(super) fn new(
        space: &'a Space,
        axes: &[usize],
        observations: Vec<Weighted>,
    ) -> Mixture<'a> {
        let sum: f64 = observations.iter().map(|observation| observation.weight).sum();
        let prior = if observations.is_empty() { 1.0 } else { sum / observations.len() as f64 };
        let weights = || observations.iter().map(|observation| observation.weight).chain([prior]);
        let mut log_factors: Vec<f64> =
            weights().map(|weight| (weight / (sum + prior)).ln()).collect();
        let mut columns = Vec::with_capacity(axes.len());
        for (at, &axis) in axes.iter().enumerate() {
            let kind = &space.axes[axis].kind;
            let values = || observations.iter().map(|observation| observation.place[at]);
            let steps = match kind {
                AxisKind::Choice(prior) => {
                    let seen = values().map(|value| value as usize).collect();
                    let blur = CHOICE_BLUR / (observations.len() as f64 + 1.0 + CHOICE_BLUR);
                    columns.push(Column::Choice { prior, seen, blur });
                    continue;
                }
                AxisKind::Steps(steps) => Some(*steps),
                AxisKind::Continuous => None,
            };
            let centre = |value: f64| steps.map_or(value, |steps| (value + 0.5) / steps as f64);
            let centres: Vec<f64> = values().map(centre).collect();
            let width = width(&centres, weights(), axes.len());
            for (factor, centre) in log_factors.iter_mut().zip(&centres) {
                *factor -= mass(*centre, width, 0.0, 1.0).ln();
                if steps.is_none() {
                    *factor -= (width * (2.0 * PI).sqrt()).ln();
                }
            }
            columns.push(match steps {
                None => Column::Normal { kind, centres, width },
                Some(steps) => {
                    let mut distinct = centres.clone();
                    distinct.sort_by(f64::total_cmp);
                    distinct.dedup();
                    let which = centres
                        .iter()
                        .map(|centre| distinct.partition_point(|known| known < centre));
                    Column::Binned { kind, steps, which: which.collect(), distinct, width }
                }
            });
        }
        let running = weights().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Mixture { cumulative: running.collect(), log_factors, columns }
    }

    /// Draws a place.
    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> Vec<f64> {
        let point = random.random::<f64>() * self.cumulative.last().copied().unwrap_or(0.0);
        let component = self.cumulative.partition_point(|sum| *sum <= point);
        let unit = |column: &Column<'a>, random: &mut ChaCha8Rng| match column {
            Column::Normal { kind, centres, width } => {
                coordinate(kind, draw_normal(centres.get(component).copied(), *width, random))
            }
            Column::Binned { kind, distinct, which, width, .. } => {
                let centre = which.get(component).and_then(|&which| distinct.get(which));
                coordinate(kind, draw_normal(centre.copied(), *width, random))
            }
            Column::Choice { prior, seen, blur } => match seen.get(component) {
                Some(seen) if random.random::<f64>() >= *blur => *seen as f64,
                _ => choose(prior, random.random()) as f64,
            },
        };
        self.columns.iter().map(|column| unit(column, random)).collect()
    }

    /// Returns the logarithm of the density (over steps and choices: of the probability) at a
    /// place.
    pub(super) fn log_density(&self, place: &[f64]) -> f64 {
        let mut logs = self.log_factors.clone();
        let Some((prior_log, kernel_logs)) = logs.split_last_mut() else {
            return f64::NEG_INFINITY;
        };
        for (column, &value) in self.columns.iter().zip(place) {
            match column {
                Column::Normal { centres, width, .. } => {
                    for (log, centre) in kernel_logs.iter_mut().zip(centres) {
                        let distance = (value - centre) / width;
                        *log -= 0.5 * distance * distance;
                    }
                }
                Column::Binned { steps, distinct, which, width, .. } => {
                    let (low, high) = (value / *steps as f64, (value + 1.0) / *steps as f64);
                    let log_mass =
                        |&centre: &f64| mass(centre, *width, low, high).max(LEAST_PROBABILITY).ln();
                    let masses: Vec<f64> = distinct.iter().map(log_mass).collect();
                    kernel_logs
                        .iter_mut()
                        .zip(which)
                        .for_each(|(log, &which)| *log += masses[which]);
                    *prior_log -= (*steps as f64).ln();
                }
                Column::Choice { prior, seen, blur } => {
                    let value = value as usize;
                    let before = prior.get(value).copied().unwrap_or(0.0);
                    let log = |probability: f64| probability.max(LEAST_PROBABILITY).ln();
                    let (same, other) = (log(1.0 - blur + blur * before), log(blur * before));
                    for (kernel, seen) in kernel_logs.iter_mut().zip(seen) {
                        *kernel += if *seen == value { same } else { other };
                    }
                    *prior_log += log(before);
                }
            }
        }
        let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        greatest + logs.iter().map(|log| (log - greatest).exp()).sum::<f64>().ln()
    }
}

/// Returns the width of an axis' kernels: Scott's rule for the number of axes (Scott 1992, equation
/// 6.42), narrowed. The spread covers the observations and the prior, which keeps a few
/// observations from collapsing onto themselves. The last weight is the prior's.
fn width(centres: &[f64], weights: impl Iterator<Item = f64> + Clone, axes: usize) -> f64 {
    let sum: f64 = centres.iter().zip(weights.clone()).map(|(_, weight)| weight).sum();
    if sum <= 0.0 {
        return 1.0;
    }
    let mean =
        centres.iter().zip(weights.clone()).map(|(centre, weight)| weight * centre).sum::<f64>()
            / sum;
    let squares =
        centres.iter().zip(weights).map(|(centre, weight)| weight * (centre - mean).powi(2));
    let count = centres.len() as f64;
    let variance = (squares.sum::<f64>() / sum * count + UNIFORM_VARIANCE) / (count + 1.0);
    (NARROWING * variance.sqrt() * count.powf(-1.0 / (axes as f64 + 4.0))).clamp(LEAST_WIDTH, 1.0)
}

/// The probability that a normal distribution gives to an interval.
fn mass(centre: f64, width: f64, low: f64, high: f64) -> f64 {
    0.5 * (erf((high - centre) / (width * SQRT_2)) - erf((low - centre) / (width * SQRT_2)))
}

/// Draws from a normal distribution truncated at 0 and 1, or uniformly without a centre.
fn draw_normal(centre: Option<f64>, width: f64, random: &mut ChaCha8Rng) -> f64 {
    let unit = random.random::<f64>();
    let Some(centre) = centre else { return unit };
    let (low, high) = (erf(-centre / (width * SQRT_2)), erf((1.0 - centre) / (width * SQRT_2)));
    centre + width * SQRT_2 * erf_inv(low + unit * (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use crate::search::check::space;

    fn mixture(space: &Space) -> Mixture<'_> {
        let observation = |place: [f64; 3], weight| Weighted { place: place.to_vec(), weight };
        let observations = vec![
            observation([0.02, 0.0, 1.0], 2.0),
            observation([0.6, 3.0, 1.0], 1.0),
            observation([1.0, 3.0, 0.0], 0.5),
        ];
        Mixture::new(space, &[0, 1, 2], observations)
    }

    #[test]
    fn the_density_sums_to_one_and_is_what_is_drawn() {
        let space = space([
            AxisKind::Continuous,
            AxisKind::Steps(5),
            AxisKind::Choice(vec![0.2, 0.3, 0.5]),
        ]);
        let mixture = mixture(&space);
        let cells = 400;
        let mut random = stream(1, &[], 0);
        let drawn: Vec<Vec<f64>> = (0..20_000).map(|_| mixture.draw(&mut random)).collect();
        let mut total = 0.0;
        for step in 0..5 {
            for choice in 0..3 {
                let (step, choice) = (f64::from(step), f64::from(choice));
                let density = |cell: i32| {
                    mixture.log_density(&[(f64::from(cell) + 0.5) / 400.0, step, choice]).exp()
                };
                let probability = (0..cells).map(density).sum::<f64>() / f64::from(cells);
                let seen =
                    drawn.iter().filter(|place| place[1] == step && place[2] == choice).count();
                assert!(
                    (seen as f64 / 20_000.0 - probability).abs() < 0.015,
                    "{step} {choice} {probability}"
                );
                total += probability;
            }
        }
        assert!((total - 1.0).abs() < 1e-3, "{total}");
    }

    #[test]
    fn without_observations_it_is_what_was_believed() {
        let space =
            space([AxisKind::Continuous, AxisKind::Steps(5), AxisKind::Choice(vec![0.2, 0.8])]);
        let mixture = Mixture::new(&space, &[0, 1, 2], Vec::new());
        assert!((mixture.log_density(&[0.3, 2.0, 1.0]) - (0.2_f64 * 0.8).ln()).abs() < 1e-12);
    }
}
