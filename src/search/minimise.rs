//! Minimising a smooth function in a box: L-BFGS with gradients projected on the box (Nocedal &
//! Wright 2006, algorithms 7.4 and 7.5; Bertsekas 1982 for the box).

use std::collections::VecDeque;

/// The number of earlier steps that shape the next.
const MEMORY: usize = 8;

/// The share of the promised decrease that a step must keep (Armijo's condition).
const SUFFICIENT: f64 = 1e-4;

/// How often a step is shortened before the search ends.
const SHORTENINGS: usize = 20;

/// The result of a search.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Minimum {
    pub place: Vec<f64>,
    pub value: f64,
}

/// Descends from `place` inside the box; `function` returns the value and writes the gradient. A
/// NaN counts as infinitely high. The result is never worse than the start.
pub(super) fn minimise(
    mut place: Vec<f64>,
    bounds: &[(f64, f64)],
    iterations: usize,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Minimum {
    let project = |place: &mut [f64]| {
        place
            .iter_mut()
            .zip(bounds)
            .for_each(|(value, (low, high))| *value = value.clamp(*low, *high));
    };
    project(&mut place);
    let mut gradient = vec![0.0; place.len()];
    let mut value = function(&place, &mut gradient);
    let mut memory: VecDeque<Step> = VecDeque::new();
    for _ in 0..iterations {
        // Coordinates that the gradient pushes against a wall stay fixed.
        let free: Vec<bool> = place
            .iter()
            .zip(bounds)
            .zip(&gradient)
            .map(|((&x, &(low, high)), &slope)| {
                !(x <= low && slope > 0.0 || x >= high && slope < 0.0)
            })
            .collect();
        let downhill: Vec<f64> = gradient
            .iter()
            .zip(&free)
            .map(|(slope, free)| if *free { -slope } else { 0.0 })
            .collect();
        let steepness = downhill.iter().fold(0.0_f64, |most, slope| most.max(slope.abs()));
        if !value.is_finite() || !steepness.is_finite() || steepness < 1e-7 {
            break;
        }
        let mut direction = newton(&downhill, &free, &memory);
        if dot(&direction, &downhill) <= 0.0 {
            memory.clear();
            direction.clone_from(&downhill);
        }
        // Without an estimate of the curvature, the first step is at most a tenth.
        let mut length = if memory.is_empty() { (0.1 / steepness).min(1.0) } else { 1.0 };
        let mut accepted = None;
        let mut new_gradient = vec![0.0; place.len()];
        for _ in 0..SHORTENINGS {
            let mut next: Vec<f64> =
                place.iter().zip(&direction).map(|(x, step)| x + length * step).collect();
            project(&mut next);
            let moved: Vec<f64> = next.iter().zip(&place).map(|(new, old)| new - old).collect();
            let promised = dot(&moved, &gradient);
            let new_value = function(&next, &mut new_gradient);
            if new_value.is_finite() && new_value <= value + SUFFICIENT * promised && promised < 0.0
            {
                accepted = Some((next, moved, new_value));
                break;
            }
            length *= 0.4;
        }
        let Some((next, moved, new_value)) = accepted else { break };
        let bent: Vec<f64> =
            new_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        if dot(&moved, &bent) > 1e-12 * dot(&bent, &bent) {
            memory.push_back(Step { moved, bent });
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        let gain = value - new_value;
        (place, value, gradient) = (next, new_value, new_gradient);
        if gain <= 1e-9 * (1.0 + value.abs()) {
            break;
        }
    }
    Minimum { place, value }
}

/// The curvature seen along one step.
struct Step {
    moved: Vec<f64>,
    bent: Vec<f64>,
}

/// Returns the quasi-Newton direction from the steps so far, in the free coordinates.
fn newton(downhill: &[f64], free: &[bool], memory: &VecDeque<Step>) -> Vec<f64> {
    let masked = |one: &[f64], other: &[f64]| -> f64 {
        one.iter().zip(other).zip(free).filter(|(_, free)| **free).map(|((a, b), _)| a * b).sum()
    };
    let mut direction = downhill.to_vec();
    let mut used = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let curvature = masked(&step.moved, &step.bent);
        if curvature <= 1e-14 {
            continue;
        }
        let weight = masked(&step.moved, &direction) / curvature;
        direction.iter_mut().zip(&step.bent).for_each(|(value, bent)| *value -= weight * bent);
        used.push((step, curvature, weight));
    }
    if let Some((step, curvature, _)) = used.first() {
        let scale = curvature / masked(&step.bent, &step.bent);
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for (step, curvature, weight) in used.iter().rev() {
        let correction = weight - masked(&step.bent, &direction) / curvature;
        direction
            .iter_mut()
            .zip(&step.moved)
            .for_each(|(value, moved)| *value += correction * moved);
    }
    direction.iter_mut().zip(free).for_each(|(value, free)| {
        if !free {
            *value = 0.0;
        }
    });
    direction
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64], gradient: &mut [f64]) -> f64 {
        let bend = x[1] - x[0] * x[0];
        gradient[0] = -400.0 * x[0] * bend - 2.0 * (1.0 - x[0]);
        gradient[1] = 200.0 * bend;
        100.0 * bend * bend + (1.0 - x[0]).powi(2)
    }

    #[test]
    fn follows_a_bent_valley() {
        let found = minimise(vec![-1.2, 1.0], &[(-2.0, 2.0); 2], 200, rosenbrock);
        assert!(found.value < 1e-8, "{found:?}");
    }

    #[test]
    fn stops_at_the_walls() {
        let found = minimise(vec![-1.2, 1.0], &[(-2.0, 0.5), (-2.0, 2.0)], 200, rosenbrock);
        assert!(
            (found.place[0] - 0.5).abs() < 1e-9 && (found.place[1] - 0.25).abs() < 1e-4,
            "{found:?}"
        );
    }

    #[test]
    fn bears_what_is_no_number() {
        let found = minimise(vec![0.5], &[(0.0, 1.0)], 10, |_, gradient| {
            gradient[0] = f64::NAN;
            f64::NAN
        });
        assert_eq!(found.place, [0.5]);
        let found = minimise(Vec::new(), &[], 10, |_, _| 1.0);
        assert_eq!(found.value, 1.0);
    }
}
