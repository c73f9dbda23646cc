//! From a checked file to a plan, and from a trial's values to the plan of a trial.

mod sweep_rules;
pub mod plan;
pub mod trials;
pub mod open;

pub use open::{check_reach, open, reopen};
pub use plan::{Plan, Step, StepInput, finish};
