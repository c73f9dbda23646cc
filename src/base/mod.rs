//! Foundations that are independent of pipelines and models: digests, seeds, files, folders,
//! limits, programs, wheels.

pub mod chain;
pub mod clock;
pub mod cut;
pub mod paint;
pub mod peak;
pub mod digest;
pub mod sealed;
pub mod digests;
pub mod lack;
pub mod contain;
pub mod secrets;
pub mod seed;
pub mod files;
pub mod label;
pub mod home;
pub mod report;
pub mod lock;
pub mod memo;
pub mod scratch;
pub mod limit;
pub mod program;
pub mod wheel;
