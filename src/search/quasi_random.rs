//! Placeholder until merged.
use super::space::{Point, Space};
pub const MAX_AXES: usize = 256;
pub fn point(space: &Space, seed: u64, index: u64) -> Point {
    super::random::point(space, &mut crate::base::seed::stream(seed, &["q"], index))
}
