//! The training loop, the same for every backend and objective: epochs, steps, micro-batches,
//! checkpoints.

pub mod error;
pub mod job;
pub mod micro_batch;
pub mod losses;
pub mod checkpoint;
pub mod averaging;
mod training;
mod resume;
mod step;
mod epoch;
pub mod run;
#[cfg(test)]
mod tests;

pub use job::{Fitted, Job};
pub use run::run;
