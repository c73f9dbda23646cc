//! Points that were not tried before.

use rand_chacha::ChaCha8Rng;

use super::random;
use super::space::{Observation, Point, Space};

/// The number of random points drawn to find a new one.
const ATTEMPTS: usize = 64;

/// Returns whether a point is among the observations. Trying it again would give the same result.
pub(super) fn tried(history: &[Observation], point: &Point) -> bool {
    history.iter().any(|observation| observation.point == *point)
}

/// Draws a point that was not tried before. If none is found, as in a small space, the point may be
/// an old one.
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
