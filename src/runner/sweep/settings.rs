//! The settings of a sweep.

use crate::engine::Device;

/// The settings of a sweep besides those in the file.
#[derive(Clone, Debug)]
pub struct SweepSettings {
    /// Every trial runs once for each seed.
    pub seeds: Vec<u64>,
    /// The number of trainings that run at a time. No result depends on it.
    pub workers: usize,
    /// Whether the first failure ends the sweep. Otherwise a failed trial is a row with its error.
    pub fail_fast: bool,
    /// The devices of the workers, in turn. The first one is part of the keys and stands for all.
    pub devices: Vec<Device>,
    /// The threads of the engine: one pool that all workers share. They are part of the keys, and
    /// so never derived from `workers`.
    pub threads: usize,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl SweepSettings {
    /// Returns the device in the keys.
    pub fn device(&self) -> Device {
        self.devices.first().copied().unwrap_or_default()
    }
}
