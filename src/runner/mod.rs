//! Runs plans: keys, cache, scheduling, explanations and run folders.

pub mod error;
pub mod project;
pub mod job;
pub mod observer;
pub mod cache;
pub mod explain;
pub mod record;
pub mod run;
pub mod sweep;
pub mod replay;
pub mod gc;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod damage_tests;

pub use error::{Phase, RunError, StageFailure};
pub use job::{Job, jobs};
pub use observer::{Event, Observer};
pub use project::Project;
pub use run::interrupt::Interrupt;
pub use run::pipeline::Pipeline;
pub use run::pipeline_run::{Finished, Prepared, Settings, prepare};
pub use sweep::{SweepFinished, SweepRun, SweepSettings};
