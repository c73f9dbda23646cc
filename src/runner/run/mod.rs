//! One run: what it takes from a pipeline, its jobs, and their schedule.

pub mod interrupt;
pub mod pipeline;
pub mod tasks;
pub mod outputs;
pub mod ground;
pub mod context;
pub mod scheduler;
pub mod pipeline_run;
