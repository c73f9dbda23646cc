//! The bias of choosing the best of many by the very figures that it is then judged by.

use rand::Rng;
use serde::Serialize;

use super::bootstrap::draw;

/// What the best of several recipes is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Selection {
    /// The place of the best.
    pub best: usize,
    /// Its value as it was measured.
    pub value: f64,
    /// How much of it comes from having been chosen; never below 0.
    pub bias: f64,
    /// `value` less `bias` (where less is better: plus).
    pub corrected: f64,
}

/// Estimates what the best of `recipes` is worth beyond the luck that made it the best.
///
/// The estimator is the bootstrap bias correction of Tsamardinos, Greasidou & Borboudakis (2018,
/// Machine Learning 107, alg. 5): units (seeds or test items) are drawn with replacement, the best
/// recipe by the drawn ones is looked up on those that were not drawn, and the mean of what it gets
/// there is the corrected value. What chose and what judges have no unit in common, so equal
/// recipes give their common mean. Choosing from fewer units makes it a little too low where
/// recipes differ.
///
/// `value` returns a recipe's value with these weights of the units, or `None` where they leave it
/// undefined; `sign` is 1 where more is better and −1 where less is. Of equal recipes the first is
/// chosen. Returns `None` for fewer than two recipes or units.
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
        // With few units it happens that all of them are drawn and none is left to judge by.
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
