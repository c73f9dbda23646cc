//! Counter-based random bits for dropout: a pure function of step, place and element. They can be
//! repeated without being stored.

/// The key of one place of dropout in one step.
#[derive(Clone, Copy, Debug)]
pub struct MaskKey {
    add: u32,
    mix: u32,
    /// An element is kept where its 32 random bits are at least this.
    threshold: u32,
    /// The factor of a kept element.
    scale: f32,
}

impl MaskKey {
    /// Returns the key for a step's dropout key, a place and a rate from 0 to below 1.
    pub fn new(step_key: i64, site: u32, rate: f32) -> MaskKey {
        // SplitMix64's finaliser (Steele et al. 2014) spreads step and place over 64 bits.
        let mut z = (step_key as u64) ^ (u64::from(site) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        MaskKey {
            add: z as u32,
            mix: (z >> 32) as u32,
            threshold: (f64::from(rate) * 4_294_967_296.0) as u32,
            scale: 1.0 / (1.0 - rate),
        }
    }

    /// Returns the factor of element number `index`: 0, or 1/(1 − rate).
    #[inline(always)]
    pub fn factor(self, index: u32) -> f32 {
        // Two rounds of a 32-bit finaliser (multiply, xor-shift) with a key before and between.
        let mut h = index.wrapping_add(self.add);
        h ^= h >> 16;
        h = h.wrapping_mul(0x7feb_352d);
        h ^= self.mix;
        h ^= h >> 15;
        h = h.wrapping_mul(0x846c_a68b);
        h ^= h >> 16;
        if h >= self.threshold { self.scale } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_asked_share_independently_of_place_and_step() {
        let n = 200_000;
        let kept = |key: MaskKey| (0..n).map(|index| key.factor(index) > 0.0).collect::<Vec<_>>();
        let (a, b, c) = (
            kept(MaskKey::new(7, 0, 0.1)),
            kept(MaskKey::new(7, 1, 0.1)),
            kept(MaskKey::new(8, 0, 0.1)),
        );
        for mask in [&a, &b, &c] {
            let dropped = mask.iter().filter(|kept| !**kept).count() as f64 / f64::from(n);
            // Four standard deviations of a binomial share.
            assert!((dropped - 0.1).abs() < 4.0 * (0.09 / f64::from(n)).sqrt(), "{dropped}");
        }
        for (x, y) in [(&a, &b), (&a, &c), (&b, &c)] {
            let both = x.iter().zip(y).filter(|(x, y)| !**x && !**y).count() as f64 / f64::from(n);
            assert!((both - 0.01).abs() < 4.0 * (0.0099 / f64::from(n)).sqrt(), "{both}");
        }
        // Neighbours are independent too.
        let pairs = a.windows(2).filter(|pair| !pair[0] && !pair[1]).count() as f64 / f64::from(n);
        assert!((pairs - 0.01).abs() < 5.0 * (0.0099 / f64::from(n)).sqrt(), "{pairs}");
    }
}
