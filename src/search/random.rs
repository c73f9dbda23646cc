//! Random search: every point is drawn from the prior distribution of the space (Bergstra & Bengio
//! 2012).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::place::place;
use super::space::{Point, Space};

/// Draws a point; axes that do not exist there consume no random numbers.
pub fn point(space: &Space, random: &mut ChaCha8Rng) -> Point {
    place(space, |_| random.random())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use crate::search::check::{conditional, spaces, valid};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn points_are_valid(space in spaces(), seed: u64) {
            let drawn = point(&space, &mut stream(seed, &[], 0));
            prop_assert!(valid(&space, &drawn), "{drawn:?}");
            prop_assert_eq!(drawn, point(&space, &mut stream(seed, &[], 0)));
        }
    }

    #[test]
    fn choices_follow_their_weights() {
        let (space, mut random) = (conditional(), stream(1, &[], 0));
        let points: Vec<Point> = (0..8000).map(|_| point(&space, &mut random)).collect();
        let share = |value: f64| {
            points.iter().filter(|point| point[0] == Some(value)).count() as f64 / 8000.0
        };
        assert!((share(0.0) - 0.5).abs() < 0.03 && (share(2.0) - 0.25).abs() < 0.03);
    }
}
