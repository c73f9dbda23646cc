//! Hyperparameter search: where the next trial should look. Pure functions of the settings and of what earlier trials gave.

pub mod space;

pub use space::{Axis, AxisKind, Condition, Observation, Outcome, Point, Space};
