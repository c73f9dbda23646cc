//! Helpers for the tests of all searches: spaces, histories, and the validity of a point.

use proptest::prelude::*;

use super::random;
use super::space::{Axis, AxisKind, Condition, Observation, Outcome, Point, Space};
use crate::base::seed::stream;

pub(super) fn space(kinds: impl IntoIterator<Item = AxisKind>) -> Space {
    Space { axes: kinds.into_iter().map(|kind| Axis { kind, condition: None }).collect() }
}

/// Two choices. One of them has conditional axes, and one of those has another.
pub(super) fn conditional() -> Space {
    let under = |axis, values: &[usize], kind| Axis {
        kind,
        condition: Some(Condition { axis, values: values.to_vec() }),
    };
    let mut space = space([AxisKind::Choice(vec![0.5, 0.25, 0.25]), AxisKind::Continuous]);
    space.axes.push(under(0, &[1, 2], AxisKind::Steps(4)));
    space.axes.push(under(0, &[1, 2], AxisKind::Continuous));
    space.axes.push(under(2, &[3], AxisKind::Choice(vec![0.3, 0.7])));
    space
}

/// Any space: every axis may depend on the one before.
pub(super) fn spaces() -> impl Strategy<Value = Space> {
    let kind = prop_oneof![
        Just(AxisKind::Continuous),
        (1..40_usize).prop_map(AxisKind::Steps),
        prop::collection::vec(0.01..1.0_f64, 1..5).prop_map(|weights| {
            let sum: f64 = weights.iter().sum();
            AxisKind::Choice(weights.into_iter().map(|weight| weight / sum).collect())
        }),
    ];
    prop::collection::vec((kind, prop::option::of(0..3_usize)), 0..6).prop_map(|axes| {
        let mut space = Space::default();
        for (kind, hangs) in axes {
            let parent = space.axes.len().checked_sub(1);
            let parent = parent.filter(|&parent| space.axes[parent].kind != AxisKind::Continuous);
            let condition =
                parent.zip(hangs).map(|(axis, value)| Condition { axis, values: vec![0, value] });
            space.axes.push(Axis { kind, condition });
        }
        space
    })
}

/// A history of random points with these outcomes.
pub(super) fn history(space: &Space, seed: u64, outcomes: &[Outcome]) -> Vec<Observation> {
    let point = |at: usize| random::point(space, &mut stream(seed, &["history"], at as u64));
    outcomes
        .iter()
        .enumerate()
        .map(|(at, &outcome)| Observation { point: point(at), outcome })
        .collect()
}

pub(super) fn outcomes(longest: usize) -> impl Strategy<Value = Vec<Outcome>> {
    let outcome = prop_oneof![
        4 => (-5.0..5.0_f64).prop_map(Outcome::Value),
        1 => Just(Outcome::Value(1.0)),
        1 => Just(Outcome::Value(1e300)),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::Pending),
    ];
    prop::collection::vec(outcome, 0..longest)
}

/// Returns whether exactly the existing axes have coordinates, all of them valid.
pub(super) fn valid(space: &Space, point: &Point) -> bool {
    point.len() == space.axes.len()
        && space.axes.iter().enumerate().all(|(at, axis)| {
            match (space.exists(at, point), point[at]) {
                (false, value) => value.is_none(),
                (true, None) => false,
                (true, Some(value)) => match &axis.kind {
                    AxisKind::Continuous => (0.0..=1.0).contains(&value),
                    AxisKind::Steps(steps) => {
                        value.fract() == 0.0 && (0.0..*steps as f64).contains(&value)
                    }
                    AxisKind::Choice(weights) => {
                        value.fract() == 0.0 && weights.get(value as usize) > Some(&0.0)
                    }
                },
            }
        })
}

/// Histories with outcomes of one kind only, and a long one; no method may fail on them.
pub(super) fn odd_histories(space: &Space, long: usize) -> Vec<Vec<Observation>> {
    let mut same = history(space, 1, &[Outcome::Value(2.0); 12]);
    let first = same[0].clone();
    same.fill(first);
    let mut running = history(space, 2, &[Outcome::Value(1.0), Outcome::Value(0.0)]);
    running.extend(history(space, 3, &vec![Outcome::Pending; long]));
    vec![
        Vec::new(),
        same,
        running,
        history(space, 4, &[Outcome::Value(0.0); 15]),
        history(space, 5, &[Outcome::Failed; 15]),
        history(space, 6, &[Outcome::Value(3.0)]),
        history(space, 7, &[Outcome::Failed, Outcome::Value(3.0), Outcome::Pending]),
        history(space, 8, &[Outcome::Value(1e308), Outcome::Value(-1e308), Outcome::Value(0.0)]),
    ]
}

/// Minimises a function; returns the smallest value found.
pub(super) fn minimum(
    space: &Space,
    trials: u64,
    seed: u64,
    value: impl Fn(&Point) -> f64,
    mut suggest: impl FnMut(&[Observation], u64) -> Point,
) -> f64 {
    let mut history: Vec<Observation> = Vec::new();
    for trial in 0..trials {
        let point = suggest(&history, seed * 1000 + trial);
        assert!(valid(space, &point), "{point:?}");
        let outcome = Outcome::Value(value(&point));
        history.push(Observation { point, outcome });
    }
    history.iter().fold(f64::INFINITY, |least, observation| match observation.outcome {
        Outcome::Value(value) => least.min(value),
        Outcome::Failed | Outcome::Pending => least,
    })
}

/// A bowl over the axes of [`conditional`]; only the third choice reaches its bottom, and only
/// through the nested axis.
pub(super) fn bowl(point: &Point) -> f64 {
    let at = |axis: usize| point[axis];
    let nested = match at(4) {
        Some(choice) => 0.3 * (1.0 - choice),
        None => 0.5,
    };
    (at(1).unwrap_or(0.0) - 0.7).powi(2) + at(3).map_or(0.2, |value| (value - 0.2).powi(2)) + nested
}
