//! SetFit's pairs of texts (setfit 1.1, `num_iterations`), drawn without a list of all pairs.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt as _};

/// Returns pairs of texts: as many of one class as of two, `wanted` each, in turn.
///
/// Of `N` texts there are N·(N + 1)/2 pairs, each text with itself included, numbered row by row of
/// the upper triangle. `order` gives their numbers in random order. The first `wanted` of each kind
/// are taken; where there are fewer, they begin anew.
pub(super) fn pairs(
    order: impl Iterator<Item = u64>,
    labels: &[usize],
    wanted: usize,
) -> Vec<[usize; 2]> {
    let count = labels.len() as u64;
    // The number of the first pair of each row.
    let starts: Vec<u64> = (0..count).map(|row| row * (2 * count - row + 1) / 2).collect();
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for number in order {
        let row = starts.partition_point(|start| *start <= number).saturating_sub(1);
        let second = row + (number - starts[row]) as usize;
        let of_kind = if labels[row] == labels[second] { &mut same } else { &mut other };
        if of_kind.len() < wanted {
            of_kind.push([row, second]);
        }
        if same.len() == wanted && other.len() == wanted {
            break;
        }
    }
    let mut same = same.iter().cycle().take(wanted);
    let mut other = other.iter().cycle().take(wanted);
    let mut both = Vec::with_capacity(2 * wanted);
    loop {
        let next = [same.next(), other.next()];
        if next == [None, None] {
            return both;
        }
        both.extend(next.into_iter().flatten());
    }
}

/// Returns the batches of an epoch: pairs side by side, `batch_size` of them in each.
pub(super) fn batches(
    labels: &[usize],
    iterations: usize,
    batch_size: usize,
    mut random: &mut dyn Rng,
) -> Vec<Vec<usize>> {
    let count = labels.len() as u64;
    let order = Permutation::new(count * (count + 1) / 2, random);
    let mut pairs = pairs(order.numbers(), labels, iterations * labels.len());
    pairs.shuffle(&mut random);
    pairs.chunks(batch_size.max(1)).map(|pairs| pairs.as_flattened().to_vec()).collect()
}

/// A random order of the numbers below a size that is computed number by number: a Feistel network
/// of four rounds over the next power of four, from whose numbers beyond the size it goes on until
/// one lies below (Black & Rogaway 2002).
struct Permutation {
    size: u64,
    /// The bits of a half.
    bits: u32,
    keys: [u64; 4],
}

impl Permutation {
    fn new(size: u64, random: &mut dyn Rng) -> Permutation {
        let whole = u64::BITS - size.saturating_sub(1).leading_zeros();
        Permutation { size, bits: whole.div_ceil(2).max(1), keys: random.random() }
    }

    fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.size).map(|place| self.at(place))
    }

    fn at(&self, place: u64) -> u64 {
        let mut number = self.round_trip(place);
        while number >= self.size {
            number = self.round_trip(number);
        }
        number
    }

    fn round_trip(&self, number: u64) -> u64 {
        let mask = (1u64 << self.bits) - 1;
        let (mut left, mut right) = (number >> self.bits, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mixed(right ^ key) & mask));
        }
        (left << self.bits) | right
    }
}

/// The finalizer of SplitMix64 (Steele, Lea & Flood 2014).
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::seed::stream;

    #[test]
    fn every_number_occurs_once_in_another_order() {
        for size in [1, 2, 3, 21, 136, 1000, 4097] {
            let order = Permutation::new(size, &mut stream(1, &["test"], size));
            let numbers: Vec<u64> = order.numbers().collect();
            assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len() as u64, size);
            assert!(numbers.iter().all(|number| *number < size), "{size}");
            assert!(size < 20 || !numbers.is_sorted());
        }
    }

    #[test]
    fn pairs_are_of_both_kinds_and_of_all_texts() {
        let labels: Vec<usize> = (0..60).map(|text| text / 20).collect();
        let batches = batches(&labels, 2, 16, &mut stream(1, &["test"], 0));
        assert_eq!(batches.len(), (2 * 2 * 60_usize).div_ceil(16));
        let all: Vec<usize> = batches.concat();
        let same = all.chunks(2).filter(|pair| labels[pair[0]] == labels[pair[1]]).count();
        assert_eq!((all.len(), same), (2 * 240, 120));
        assert!(all.into_iter().collect::<BTreeSet<_>>().len() > 55);
    }
}
