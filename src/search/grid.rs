//! Every point of a finite space.

use super::space::{AxisKind, Point, Space};

/// More points than this are taken for a mistake.
pub const MAX_POINTS: usize = 100_000;

/// Returns every point, the last axis changing fastest; at most [`MAX_POINTS`]. Continuous axes
/// cannot be enumerated and stay at 0.
pub fn points(space: &Space) -> Vec<Point> {
    let mut points: Vec<Point> = vec![Vec::new()];
    for (axis, about) in space.axes.iter().enumerate() {
        let count = match &about.kind {
            AxisKind::Continuous => 1,
            AxisKind::Steps(count) => *count,
            AxisKind::Choice(weights) => weights.len(),
        };
        let mut longer = Vec::new();
        'all: for point in &points {
            let exists = space.exists(axis, point);
            for place in 0..if exists { count } else { 1 } {
                if longer.len() == MAX_POINTS {
                    break 'all;
                }
                let mut next = point.clone();
                next.push(exists.then_some(place as f64));
                longer.push(next);
            }
        }
        points = longer;
    }
    points
}

/// Returns the number of points; `None` if it is infinite or more than [`MAX_POINTS`].
pub fn count(space: &Space) -> Option<usize> {
    if space.axes.iter().any(|axis| axis.kind == AxisKind::Continuous) {
        return None;
    }
    let most = space.axes.iter().map(|axis| match &axis.kind {
        AxisKind::Continuous => 1,
        AxisKind::Steps(count) => *count,
        AxisKind::Choice(weights) => weights.len(),
    });
    // Without conditions the number is a product; enumerating a large grid would take long.
    let product = most.fold(1usize, usize::saturating_mul);
    (product < MAX_POINTS).then(|| points(space).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::{Axis, Condition};

    #[test]
    fn conditions_leave_points_out() {
        let space = Space {
            axes: vec![
                Axis { kind: AxisKind::Choice(vec![0.5, 0.5]), condition: None },
                Axis {
                    kind: AxisKind::Steps(3),
                    condition: Some(Condition { axis: 0, values: vec![1] }),
                },
            ],
        };
        let expected: Vec<Point> = vec![
            vec![Some(0.0), None],
            vec![Some(1.0), Some(0.0)],
            vec![Some(1.0), Some(1.0)],
            vec![Some(1.0), Some(2.0)],
        ];
        assert_eq!(points(&space), expected);
        let vast = Axis { kind: AxisKind::Steps(400), condition: None };
        assert_eq!(points(&Space { axes: vec![vast; 4] }).len(), MAX_POINTS);
    }
}
