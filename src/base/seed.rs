//! Random streams that depend on the seed and their purpose only.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// Hashed once, because some augmentation methods take less time than this hash.
static CONTEXT: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("pipe random stream v1"));

/// Returns the random stream for one purpose: `names` identify it (stage, purpose, ...), `index`
/// the example or step. Streams that differ in seed, names or index are independent. Equal
/// arguments give equal streams on every machine, in any order of threads.
pub fn stream(seed: u64, names: &[&str], index: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(key(seed, names, index))
}

/// Returns the key of a random stream, for callers that keep many streams and run few at a time.
pub fn key(seed: u64, names: &[&str], index: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_from_context_key(&CONTEXT);
    hasher.update(&seed.to_le_bytes());
    for name in names {
        // The length distinguishes ["ab", "c"] from ["a", "bc"].
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.update(&index.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// Returns the seed of another draw of the work that a seed decides; draw 0 is the work itself. It
/// has 32 bits, so that people can write it.
pub fn redrawn(seed: u64, draw: u32) -> u64 {
    match draw {
        0 => seed,
        _ => u64::from(stream(seed, &["draw"], u64::from(draw)).next_u32()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_are_those_of_the_first_version() {
        let expected = *blake3::Hasher::new_derive_key("pipe random stream v1")
            .update(&7u64.to_le_bytes())
            .update(&0u64.to_le_bytes())
            .finalize()
            .as_bytes();
        assert_eq!(stream(7, &[], 0).next_u64(), ChaCha8Rng::from_seed(expected).next_u64());
    }

    #[test]
    fn every_part_of_the_address_matters() {
        let first = |seed, names: &[&str], index| stream(seed, names, index).next_u64();
        let base = first(1, &["ab", "c"], 0);
        assert_eq!(base, first(1, &["ab", "c"], 0));
        assert_ne!(base, first(2, &["ab", "c"], 0));
        assert_ne!(base, first(1, &["a", "bc"], 0));
        assert_ne!(base, first(1, &["ab", "c"], 1));
    }
}
