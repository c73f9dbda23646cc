//! The services of the runner for a running stage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::interrupt::Interrupt;
use super::shared::Shelf;
use crate::base::report::{Progress, Report};
use crate::base::secrets::Secrets;
use crate::engine::{Device, Runtime};
use crate::runner::observer::{Event, Observer};
use crate::stages::contract::stage::Piece;
use crate::stages::{Ctx, Output, StageError};

/// The services of the runner for a running stage.
#[derive(Clone)]
pub(in crate::runner) struct StageContext<'a> {
    pub stage: &'a str,
    /// The label of the task in events.
    pub task: &'a str,
    pub seed: u64,
    pub folder: &'a Path,
    pub scratch: PathBuf,
    pub device: Device,
    pub threads: usize,
    pub interrupt: &'a Interrupt,
    pub observer: &'a dyn Observer,
    pub secrets: &'a Secrets,
    pub own_secrets: &'a Secrets,
    pub shelf: Shelf<'a>,
}

impl Report for StageContext<'_> {
    fn progress(&self, progress: &Progress<'_>) {
        self.observer.progress(self.task, progress);
    }

    fn note(&self, line: &str) {
        let line = &self.secrets.hide(line);
        self.observer.event(&Event::Note { task: self.task, line });
    }

    fn warn(&self, line: &str) {
        let line = &self.secrets.hide(line);
        self.observer.event(&Event::Warning { task: self.task, line });
    }
}

impl Ctx for StageContext<'_> {
    fn stage(&self) -> &str {
        self.stage
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn folder(&self) -> &Path {
        self.folder
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn device(&self) -> Device {
        self.device
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn runtime(&self) -> Result<&Runtime, StageError> {
        Ok(Runtime::get(self.device, self.threads, self)?)
    }

    fn secrets(&self) -> Secrets {
        self.own_secrets.clone()
    }

    fn shared(&self, piece: &dyn Piece) -> Result<Arc<dyn Output>, StageError> {
        self.shelf.take(self, piece)
    }

    fn interrupted(&self) -> bool {
        self.interrupt.is_asked()
    }
}
