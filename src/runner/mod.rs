//! Runs plans: keys, cache, scheduling, explanations and run folders.

pub mod error;
pub mod interrupt;
pub mod observer;
pub mod job;
pub mod key;
pub mod tasks;
pub mod project;
pub mod ground;
pub mod cache;
pub mod lock;
pub mod ledger;
pub mod explain;
pub mod context;
pub mod scheduler;
pub mod provenance;
pub mod run_folder;
pub mod runs;
pub mod outputs;
pub mod pipeline_run;
pub mod sweep;
pub mod gc;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use error::{Phase, RunError, StageFailure};
pub use interrupt::Interrupt;
pub use job::{Job, jobs};
pub use observer::{Event, Observer};
pub use pipeline_run::{Finished, Pipeline, Prepared, Settings, prepare};
pub use project::Project;
pub use sweep::{SweepFinished, SweepRun, SweepSettings};
