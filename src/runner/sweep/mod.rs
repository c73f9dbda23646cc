//! Sweeps: trials of one pipeline, chosen by a search, each for several seeds, with one cache.

pub mod settings;
mod common;
mod trial;
mod cell;
mod told;
mod driver;
mod folder;
mod labels;
pub mod overview;
pub mod sweep_run;
#[cfg(test)]
mod tests;

pub(in crate::runner) use cell::failures;
pub(in crate::runner) use folder::{RecordedTrial, recorded_trials};
pub use overview::Overview;
pub use settings::SweepSettings;
pub use sweep_run::{SweepFinished, SweepRun};
pub(in crate::runner) use trial::Body;
