//! The search space without names and units: the parameters of a sweep as the methods see them.

/// The axes of a search, each after the axis of its condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    pub axes: Vec<Axis>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub kind: AxisKind,
    /// If given, the parameter exists only in points that meet it.
    pub condition: Option<Condition>,
}

/// The kind of coordinates of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisKind {
    /// Numbers from 0 to 1 with a uniform prior. The creator of the space maps the unit interval to
    /// values, with logarithms and other distributions.
    Continuous,
    /// The whole numbers from 0 to this number less one, in a meaningful order, with a uniform
    /// prior.
    Steps(usize),
    /// The whole numbers from 0, without an order, with their prior probabilities (which sum to 1).
    Choice(Vec<f64>),
}

/// A parameter that exists only where another has certain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The index of an earlier axis, of the kind [`AxisKind::Steps`] or [`AxisKind::Choice`].
    pub axis: usize,
    /// The coordinates of that axis at which this one exists.
    pub values: Vec<usize>,
}

/// A place in the space: a coordinate for every axis (a whole number for [`AxisKind::Steps`] and
/// [`AxisKind::Choice`]), `None` where the axis does not exist at this point.
pub type Point = Vec<Option<f64>>;

/// A point that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub point: Point,
    pub outcome: Outcome,
}

/// The outcome at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The value to minimise; finite.
    Value(f64),
    /// The trial failed or its value is not a number.
    Failed,
    /// The trial has not ended yet.
    Pending,
}

impl Space {
    /// Returns whether an axis exists at a point, given its earlier coordinates.
    pub fn exists(&self, axis: usize, point: &[Option<f64>]) -> bool {
        match self.axes.get(axis).map(|axis| &axis.condition) {
            None => false,
            Some(None) => true,
            // A parent that does not exist meets no condition.
            Some(Some(condition)) => point
                .get(condition.axis)
                .copied()
                .flatten()
                .is_some_and(|value| condition.values.contains(&(value as usize))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_follows_its_parent() {
        let axis = |kind, condition| Axis { kind, condition };
        let space = Space {
            axes: vec![
                axis(AxisKind::Choice(vec![0.5, 0.5]), None),
                axis(AxisKind::Steps(3), Some(Condition { axis: 0, values: vec![1] })),
                axis(AxisKind::Continuous, Some(Condition { axis: 1, values: vec![0, 2] })),
            ],
        };
        assert!(space.exists(0, &[]));
        assert!(!space.exists(1, &[Some(0.0)]) && space.exists(1, &[Some(1.0)]));
        assert!(!space.exists(2, &[Some(0.0), None]));
        assert!(
            space.exists(2, &[Some(1.0), Some(2.0)]) && !space.exists(2, &[Some(1.0), Some(1.0)])
        );
        assert!(!space.exists(3, &[]));
    }
}
