//! What a model needs where no run has it in hand.

use std::path::Path;
use std::sync::Arc;

use crate::base::report::{Progress, Report};
use crate::engine::{Device, Runtime};
use crate::stages::contract::stage::Piece;
use crate::stages::{Ctx, Output, StageError};

/// What a model needs where no run has it in hand. Nothing is kept.
pub struct Standalone<'a> {
    pub report: &'a dyn Report,
    pub device: Device,
    pub threads: usize,
    /// Says whether the user has asked to stop.
    pub stops: &'a (dyn Fn() -> bool + Sync),
}

impl Report for Standalone<'_> {
    /// The work comes in small parts, whose progress says nothing.
    fn progress(&self, _: &Progress<'_>) {}

    /// What is said of each part would be said many times.
    fn note(&self, _: &str) {}

    fn warn(&self, line: &str) {
        self.report.warn(line);
    }
}

impl Ctx for Standalone<'_> {
    fn stage(&self) -> &str {
        "predict"
    }

    /// Nothing is drawn.
    fn seed(&self) -> u64 {
        0
    }

    fn folder(&self) -> &Path {
        Path::new("")
    }

    fn scratch(&self) -> &Path {
        Path::new("")
    }

    fn device(&self) -> Device {
        self.device
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn runtime(&self) -> Result<&Runtime, StageError> {
        Ok(Runtime::get(self.device, self.threads, self.report)?)
    }

    fn shared(&self, piece: &dyn Piece) -> Result<Arc<dyn Output>, StageError> {
        piece.compute(self)
    }

    fn interrupted(&self) -> bool {
        (self.stops)()
    }
}
