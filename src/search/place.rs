//! The mapping from the unit cube to points of a space.

use super::space::{AxisKind, Point, Space};

/// Returns the point at these values of the axes' distribution functions, from 0 to 1. `unit` is
/// called only for axes that exist.
pub(super) fn place(space: &Space, mut unit: impl FnMut(usize) -> f64) -> Point {
    let mut point = Point::with_capacity(space.axes.len());
    for (at, axis) in space.axes.iter().enumerate() {
        let coordinate = space.exists(at, &point).then(|| coordinate(&axis.kind, unit(at)));
        point.push(coordinate);
    }
    point
}

/// Returns the coordinate where an axis' distribution function has this value.
pub(super) fn coordinate(kind: &AxisKind, unit: f64) -> f64 {
    let unit = unit.clamp(0.0, 1.0);
    match kind {
        AxisKind::Continuous => unit,
        AxisKind::Steps(steps) => {
            (unit * *steps as f64).floor().min(steps.saturating_sub(1) as f64)
        }
        AxisKind::Choice(weights) => choose(weights, unit) as f64,
    }
}

/// Returns the index where the running sum of the weights passes this share of the total.
pub(super) fn choose(weights: &[f64], unit: f64) -> usize {
    let mut left = unit * weights.iter().sum::<f64>();
    let mut chosen = 0;
    for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        // The last one with a weight also covers the remainder of rounding.
        chosen = at;
        if left < *weight {
            break;
        }
        left -= weight;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_in_proportion() {
        let steps = AxisKind::Steps(4);
        assert_eq!(
            [0.0, 0.24, 0.25, 0.99, 1.0].map(|unit| coordinate(&steps, unit)),
            [0.0, 0.0, 1.0, 3.0, 3.0]
        );
        let choice = AxisKind::Choice(vec![0.0, 0.5, 0.0, 0.5, 0.0]);
        assert_eq!(
            [0.0, 0.49, 0.5, 1.0].map(|unit| coordinate(&choice, unit)),
            [1.0, 1.0, 3.0, 3.0]
        );
        assert_eq!(coordinate(&AxisKind::Choice(Vec::new()), 0.5), 0.0);
        assert_eq!(coordinate(&AxisKind::Continuous, 0.3), 0.3);
    }
}
