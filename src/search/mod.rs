//! Hyperparameter search: where the next trial should look. Pure functions of the settings and of what earlier trials gave.

pub mod space;

mod fresh;

mod place;

pub mod random;

pub mod quasi_random;

pub mod tpe;

mod minimise;

pub mod gaussian_process;

pub use space::{Axis, AxisKind, Condition, Observation, Outcome, Point, Space};
