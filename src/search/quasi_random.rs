//! Quasi-random search: an Owen-scrambled Sobol sequence, which leaves neither gaps nor heaps (Owen 1998; Burley 2020).

use rand::Rng;

use super::place::place;
use super::{Point, Space};
use crate::base::seed::stream;

/// How many points of one sequence there are.
pub const MOST_POINTS: u64 = 1 << 16;

/// How many axes one sequence has.
pub const MOST_AXES: usize = sobol_burley::NUM_DIMENSIONS as usize;

/// Returns one point of the sequence that belongs to a seed. Behind [`MOST_POINTS`] and [`MOST_AXES`] further sequences
/// follow: their points are as good, but not spread evenly with regard to those of the first.
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
    pub fn new(seed: u64, number: u64) -> Sequence {
        Sequence { seed, number, scramble: scramble(seed, number, 0) }
    }

    pub fn point(&self, space: &Space, index: u64) -> Point {
        let index = (index % MOST_POINTS) as u32;
        place(space, |axis| {
            let block = axis / MOST_AXES;
            let scramble =
                if block == 0 { self.scramble } else { scramble(self.seed, self.number, block as u64) };
            f64::from(sobol_burley::sample(index, (axis % MOST_AXES) as u32, scramble))
        })
    }
}

/// The scrambles are 32 bits, the seeds 64: those that differ in the upper half only must not give the same points.
fn scramble(seed: u64, number: u64, block: u64) -> u32 {
    let block = format!("{block}");
    stream(seed, &["search", "quasi_random", &block], number).next_u32()
}
