//! Points that were not tried before.

use rand_chacha::ChaCha8Rng;

use super::random;
use super::space::{Observation, Point, Space};

/// How many random points are drawn in the hope of one that is new.
const ATTEMPTS: usize = 64;

/// Says whether a point is among the observations; the same settings give the same result, so
/// trying them again tells nothing.
pub(super) fn tried(history: &[Observation], point: &Point) -> bool {
    history.iter().any(|observation| observation.point == *point)
}

/// Draws a point that was not tried before, or one that was where none turns up: small spaces come
/// to an end.
pub(super) fn random_point(
    space: &Space,
    history: &[Observation],
    random: &mut ChaCha8Rng,
) -> Point {
    let mut point = random::point(space, random);
    for _ in 1..ATTEMPTS {
        if !tried(history, &point) {
            break;
        }
        point = random::point(space, random);
    }
    point
}
