//! Independent draws.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::space::{AxisKind, Point, Space};

pub fn point(space: &Space, random: &mut ChaCha8Rng) -> Point {
    let mut point = Point::new();
    for (axis, about) in space.axes.iter().enumerate() {
        let coordinate = match &about.kind {
            AxisKind::Continuous => random.random::<f64>(),
            AxisKind::Steps(count) => random.random_range(0..*count) as f64,
            AxisKind::Choice(weights) => random.random_range(0..weights.len()) as f64,
        };
        point.push(space.exists(axis, &point).then_some(coordinate));
    }
    point
}
