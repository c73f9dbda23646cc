//! Random search: every point is drawn from what is said of the space before anything is known (Bergstra & Bengio 2012).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::place::place;
use super::{Point, Space};

/// Draws a point; axes that do not exist there take nothing from the random stream.
pub fn point(space: &Space, random: &mut ChaCha8Rng) -> Point {
    place(space, |_| random.random())
}
