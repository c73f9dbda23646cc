//! The selection bias of the best of many, when the values that select it also judge it.

use rand::Rng;
use serde::Serialize;

use super::bootstrap::draw;

/// The best of several recipes and its corrected value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Selection {
    /// The index of the best.
    pub best: usize,
    /// Its measured value.
    pub value: f64,
    /// The part of the value that is due to selection; never below 0.
    pub bias: f64,
    /// `value` less `bias` (plus `bias` if smaller values are better).
    pub corrected: f64,
}

/// Estimates the value of the best of `recipes` without the luck that made it the best.
///
/// The estimator is the bootstrap bias correction of Tsamardinos, Greasidou & Borboudakis (2018,
/// Machine Learning 107, alg. 5): units (seeds or test items) are drawn with replacement, and the
/// best recipe on the drawn units is evaluated on the other units. The mean of these values is the
/// corrected value. Selection and evaluation share no unit, so equal recipes give their common
/// mean. If recipes differ, the value is a little too low, because fewer units select.
///
/// `value` returns a recipe's value with these weights of the units, or `None` if it is undefined.
/// `sign` is 1 if larger values are better, otherwise −1. The first of equal recipes is selected.
/// Returns `None` with fewer than two recipes or units.
pub fn selection(
    recipes: usize,
    units: usize,
    sign: f64,
    resamples: usize,
    random: &mut impl Rng,
    value: impl Fn(usize, &[u32]) -> Option<f64>,
) -> Option<Selection> {
    if recipes < 2 || units < 2 {
        return None;
    }
    let best_by = |weights: &[u32]| {
        let values = (0..recipes).filter_map(|recipe| Some((recipe, value(recipe, weights)?)));
        values.reduce(|best, other| if sign * other.1 > sign * best.1 { other } else { best })
    };
    let (best, measured) = best_by(&vec![1; units])?;
    let groups: Vec<u32> = (0..units as u32).collect();
    let (mut drawn, mut rest) = (vec![0; units], vec![0; units]);
    let (mut sum, mut count) = (0.0, 0usize);
    for _ in 0..resamples {
        draw(&groups, random, &mut drawn);
        rest.iter_mut().zip(&drawn).for_each(|(rest, &drawn)| *rest = u32::from(drawn == 0));
        // With few units, a draw may contain all of them and leave none for evaluation.
        if rest.iter().all(|&weight| weight == 0) {
            continue;
        }
        if let Some(judged) = best_by(&drawn).and_then(|(chosen, _)| value(chosen, &rest)) {
            sum += judged;
            count += 1;
        }
    }
    if count == 0 {
        return None;
    }
    let bias = (sign * (measured - sum / count as f64)).max(0.0);
    Some(Selection { best, value: measured, bias, corrected: measured - sign * bias })
}
