//! Hyperparameter search: the choice of the next trial. All functions are pure in the settings and
//! the results of earlier trials.

pub mod config;
pub mod domain;
pub mod space;
pub mod grid;
pub mod random;
pub mod quasi_random;
pub mod tpe;
pub mod gaussian_process;
pub mod sampler;
pub mod rule;
pub mod engine;
mod place;
mod fresh;
mod minimise;
#[cfg(test)]
mod check;

pub use config::Sweep;
pub use domain::Domain;
pub use engine::{Next, Request, Search};
pub use space::{Axis, AxisKind, Condition, Observation, Outcome, Point, Space};
