//! The one place that reads clocks, so that no result can depend on the time.
#![expect(clippy::disallowed_methods, reason = "this is the owner that clippy.toml speaks of")]

use std::time::Instant;

/// Measures elapsed time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Returns the seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
