//! Quasi-random search: an Owen-scrambled Sobol sequence, which leaves neither gaps nor clusters
//! (Owen 1998; Burley 2020).

use rand::Rng;

use super::place::place;
use super::space::{Point, Space};
use crate::base::seed::stream;

/// The number of points of one sequence.
pub const MOST_POINTS: u64 = 1 << 16;

/// The number of axes of one sequence.
pub const MOST_AXES: usize = sobol_burley::NUM_DIMENSIONS as usize;

/// Returns one point of the sequence of a seed. Beyond [`MOST_POINTS`] and [`MOST_AXES`] further
/// sequences follow. Their points are as good, but not spread evenly relative to the first
/// sequence.
pub fn point(space: &Space, seed: u64, index: u64) -> Point {
    Sequence::new(seed, index / MOST_POINTS).point(space, index)
}

/// The scrambles of one sequence.
pub(super) struct Sequence {
    seed: u64,
    number: u64,
    scramble: u32,
}

impl Sequence {
    pub(super) fn new(seed: u64, number: u64) -> Sequence {
        Sequence { seed, number, scramble: scramble(seed, number, 0) }
    }

    pub(super) fn point(&self, space: &Space, index: u64) -> Point {
        let index = (index % MOST_POINTS) as u32;
        place(space, |axis| {
            let block = axis / MOST_AXES;
            let scramble = if block == 0 {
                self.scramble
            } else {
                scramble(self.seed, self.number, block as u64)
            };
            f64::from(sobol_burley::sample(index, (axis % MOST_AXES) as u32, scramble))
        })
    }
}

/// Scrambles have 32 bits and seeds 64: seeds that differ only in the upper half must give
/// different points.
fn scramble(seed: u64, number: u64, block: u64) -> u32 {
    let block = format!("{block}");
    stream(seed, &["search", "quasi_random", &block], number).next_u32()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::check::{conditional, space, spaces, valid};
    use crate::search::space::AxisKind;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn points_are_valid(space in spaces(), seed: u64, index: u64) {
            let found = point(&space, seed, index);
            prop_assert!(valid(&space, &found), "{found:?}");
            prop_assert_eq!(found, point(&space, seed, index));
        }
    }

    /// In each axis, the first 2^k points have one in each 2^k-th of the unit interval; random
    /// points leave a third of the intervals empty.
    #[test]
    fn every_interval_has_its_point() {
        let space = space(vec![AxisKind::Continuous; 12]);
        for seed in 0..4 {
            for power in 0..9 {
                let count = 1_usize << power;
                let points: Vec<Point> =
                    (0..count as u64).map(|index| point(&space, seed, index)).collect();
                for axis in 0..12 {
                    let mut hit = vec![false; count];
                    for value in points.iter().filter_map(|point| point[axis]) {
                        hit[(value * count as f64) as usize] = true;
                    }
                    assert!(hit.iter().all(|hit| *hit), "axis {axis} of {count} points");
                }
            }
        }
    }

    #[test]
    fn choices_have_their_share_and_seeds_differ() {
        let space = conditional();
        let chosen = (0..256).filter(|&index| point(&space, 5, index)[0] == Some(0.0)).count();
        assert_eq!(chosen, 128);
        assert_ne!(point(&space, 1, 0), point(&space, 1 + (1 << 32), 0));
        assert_ne!(point(&space, 1, 0), point(&space, 1, MOST_POINTS));
    }

    #[test]
    fn many_axes_are_no_end() {
        let wide = space(vec![AxisKind::Continuous; MOST_AXES + 2]);
        let found = point(&wide, 3, 7);
        assert!(valid(&wide, &found));
        assert_ne!(found[0], found[MOST_AXES]);
    }
}
