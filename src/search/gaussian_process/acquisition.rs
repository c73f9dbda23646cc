//! The search for the most promising point of a space.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::kernel::Features;
use super::posterior::Posterior;
use crate::search::minimise::minimise;
use crate::search::place::coordinate;
use crate::search::quasi_random::Sequence;
use crate::search::space::{AxisKind, Point, Space};

/// The number of points from the whole space that are rated first.
const GLOBAL: u64 = 512;

/// The number of points near each of the best observations.
const LOCAL: usize = 24;

/// The number of the most promising points of either kind from which the search climbs.
const GLOBAL_STARTS: usize = 8;
const LOCAL_STARTS: usize = 3;

/// Steps of each ascent.
const ITERATIONS: usize = 40;

/// How often discrete and continuous axes alternate.
const ROUNDS: usize = 4;

/// All coordinates of an axis with up to this many are tried; of a longer axis, only those nearby.
const ENUMERATED: usize = 24;

/// The number of draws that are tried for axes that a change brings into existence.
const FILLS: usize = 4;

/// The search for the most promising point.
pub(super) struct Search<'a> {
    pub space: &'a Space,
    pub features: &'a Features,
    pub posterior: &'a Posterior<'a>,
}

impl Search<'_> {
    /// Returns promising points with the logarithms of their expected improvement, the most
    /// promising first. `best` are the best observed points.
    pub(super) fn points(&self, best: &[&Point], random: &mut ChaCha8Rng) -> Vec<(f64, Point)> {
        let sequence = Sequence::new(random.next_u64(), 0);
        let everywhere: Vec<Point> =
            (0..GLOBAL).map(|index| sequence.point(self.space, index)).collect();
        let mut nearby = Vec::with_capacity(best.len() * LOCAL);
        for point in best {
            nearby.extend((0..LOCAL).map(|at| self.near(point, at, random)));
        }
        let outside = |point: &Point| !self.posterior.shuns(&self.features.of(self.space, point));
        let (mut refined, mut rest) = (Vec::new(), Vec::new());
        // Each kind has its own starts: before the ascent, points near the best are nearly always
        // ahead.
        for (candidates, starts) in [(everywhere, GLOBAL_STARTS), (nearby, LOCAL_STARTS)] {
            let candidates = candidates.into_iter().filter(outside);
            let mut rated: Vec<(f64, Point)> =
                candidates.map(|point| (self.promise(&point), point)).collect();
            sort(&mut rated);
            rest.extend(rated.split_off(rated.len().min(starts)));
            refined.extend(
                rated.into_iter().map(|(promise, point)| self.refine(promise, point, random)),
            );
        }
        // A point that climbs into the excluded valley started at its rim.
        refined.retain(|(_, point)| outside(point));
        sort(&mut refined);
        // Unrefined points are the fallback if all refined ones were tried before.
        sort(&mut rest);
        refined.extend(rest);
        refined
    }

    fn promise(&self, point: &Point) -> f64 {
        let promise = self.posterior.promise(&self.features.of(self.space, point));
        if promise.is_nan() { f64::NEG_INFINITY } else { promise }
    }

    /// Returns a point near another, at distances from a tenth of the space down to a thousandth,
    /// since the right scale is unknown.
    fn near(&self, point: &Point, at: usize, random: &mut ChaCha8Rng) -> Point {
        let scale = 10.0_f64.powf(-1.0 - 2.0 * at as f64 / LOCAL as f64);
        let rare = 1.0 / self.space.axes.len().max(1) as f64;
        let mut moved = point.clone();
        for (axis, value) in self.space.axes.iter().zip(&mut moved) {
            let Some(value) = value else { continue };
            let shift = random.random::<f64>() + random.random::<f64>() - 1.0;
            match &axis.kind {
                AxisKind::Continuous => *value = (*value + 2.0 * scale * shift).clamp(0.0, 1.0),
                AxisKind::Steps(_) | AxisKind::Choice(_) if random.random::<f64>() >= rare => {}
                AxisKind::Steps(steps) => {
                    let step = if shift < 0.0 { -1.0 } else { 1.0 };
                    *value = (*value + step).clamp(0.0, steps.saturating_sub(1) as f64);
                }
                AxisKind::Choice(_) => *value = coordinate(&axis.kind, random.random()),
            }
        }
        self.complete(moved, random)
    }

    /// Makes a changed point valid: draws coordinates for axes that now exist, and removes those of
    /// axes that no longer do.
    fn complete(&self, mut point: Point, random: &mut ChaCha8Rng) -> Point {
        point.resize(self.space.axes.len(), None);
        for (at, axis) in self.space.axes.iter().enumerate() {
            if !self.space.exists(at, &point) {
                point[at] = None;
            } else if point[at].is_none() {
                point[at] = Some(coordinate(&axis.kind, random.random()));
            }
        }
        point
    }

    /// Climbs from a point: along the continuous axes by the gradient, along the others one at a
    /// time.
    fn refine(&self, mut promise: f64, mut point: Point, random: &mut ChaCha8Rng) -> (f64, Point) {
        for _ in 0..ROUNDS {
            let climbed = self.climb(&point);
            let value = self.promise(&climbed);
            if value > promise {
                (promise, point) = (value, climbed);
            }
            let before = promise;
            for axis in 0..self.space.axes.len() {
                self.exchange(axis, &mut promise, &mut point, random);
            }
            if promise <= before {
                break;
            }
        }
        (promise, point)
    }

    fn climb(&self, point: &Point) -> Point {
        let smooth: Vec<usize> = (0..self.space.axes.len())
            .filter(|&axis| {
                point[axis].is_some() && self.space.axes[axis].kind == AxisKind::Continuous
            })
            .collect();
        if smooth.is_empty() {
            return point.clone();
        }
        let mut features = self.features.of(self.space, point);
        let mut slopes = vec![0.0; features.len()];
        let start = smooth.iter().map(|&axis| features[axis]).collect();
        let found =
            minimise(start, &vec![(0.0, 1.0); smooth.len()], ITERATIONS, |place, gradient| {
                smooth.iter().zip(place).for_each(|(&axis, value)| features[axis] = *value);
                let promise = self.posterior.promise_with_gradient(&features, &mut slopes);
                gradient.iter_mut().zip(&smooth).for_each(|(slope, &axis)| *slope = -slopes[axis]);
                -promise
            });
        let mut climbed = point.clone();
        smooth.iter().zip(found.place).for_each(|(&axis, value)| climbed[axis] = Some(value));
        climbed
    }

    /// Tries the other coordinates of a discrete axis and keeps the best.
    fn exchange(&self, axis: usize, promise: &mut f64, point: &mut Point, random: &mut ChaCha8Rng) {
        let Some(now) = point[axis] else { return };
        let values: Vec<f64> = match &self.space.axes[axis].kind {
            AxisKind::Continuous => return,
            AxisKind::Choice(weights) => {
                (0..weights.len()).filter(|&at| weights[at] > 0.0).map(|at| at as f64).collect()
            }
            AxisKind::Steps(steps) if *steps <= ENUMERATED => {
                (0..*steps).map(|at| at as f64).collect()
            }
            AxisKind::Steps(steps) => {
                let strides = (0..)
                    .map(|power| 2.0_f64.powi(power))
                    .take_while(|stride| *stride < *steps as f64);
                let both = strides.flat_map(|stride| [now - stride, now + stride]);
                both.filter(|value| (0.0..*steps as f64).contains(value)).collect()
            }
        };
        for value in values.into_iter().filter(|value| *value != now) {
            for _ in 0..FILLS {
                let mut other = point.clone();
                other[axis] = Some(value);
                let other = self.complete(other, random);
                // No coordinate was drawn, so drawing again would change nothing.
                let settled =
                    other.iter().zip(&*point).all(|(new, old)| new.is_none() || old.is_some());
                let found = self.promise(&other);
                if found > *promise {
                    (*promise, *point) = (found, other);
                }
                if settled {
                    break;
                }
            }
        }
    }
}

/// Sorts by promise; equal points keep their order.
fn sort(rated: &mut [(f64, Point)]) {
    rated.sort_by(|(one, _), (other, _)| other.total_cmp(one));
}
