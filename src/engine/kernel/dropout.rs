//! Dropout masks.

use super::random::MaskKey;
use super::simd::vectorized;

/// Elements per part.
pub const PART: usize = 16_384;

vectorized! {
/// Computes y = x·mask for elements from number `first` on.
pub fn apply(x: &[f32], key: MaskKey, first: usize, y: &mut [f32]) {
    for i in 0..x.len() {
        y[i] = x[i] * key.factor((first as u32).wrapping_add(i as u32));
    }
}
}

/// Returns the mask itself, for graphs that take it as an input: 0 or 1/(1 − rate) for each of
/// `len` elements.
pub fn mask(step_key: i64, site: u32, rate: f32, len: usize) -> Vec<f32> {
    let key = MaskKey::new(step_key, site, rate);
    let mut mask = vec![0.0; len];
    apply(&vec![1.0; len], key, 0, &mut mask);
    mask
}
