//! Hyperparameter search: where the next trial should look. Pure functions of the settings and of what earlier trials gave.

pub mod space;

mod place;

pub mod random;

pub mod quasi_random;

mod fresh;

pub mod tpe;

mod minimise;

pub mod gaussian_process;

#[cfg(test)]
mod check;

pub use space::{Axis, AxisKind, Condition, Observation, Outcome, Point, Space};
