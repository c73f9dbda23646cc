//! How a sweep goes.

use crate::engine::Device;

/// How a sweep goes, besides what the file says.
#[derive(Clone, Debug)]
pub struct SweepSettings {
    /// Every trial runs once for each.
    pub seeds: Vec<u64>,
    /// How many trainings run at a time. No result depends on it.
    pub workers: usize,
    /// Whether the first failure ends the sweep; else a failed trial is a row with its error.
    pub fail_fast: bool,
    /// The workers' devices, in turn; the first one stands in the keys for all.
    pub devices: Vec<Device>,
    /// Threads of the engine: one pool that all workers share. Part of the keys, and so never
    /// derived from `workers`.
    pub threads: usize,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl SweepSettings {
    /// Returns the device that stands in the keys.
    pub fn device(&self) -> Device {
        self.devices.first().copied().unwrap_or_default()
    }
}
