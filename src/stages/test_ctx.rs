//! A context for tests of stages: a temporary folder, a seed, and what the stage said.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::contract::error::StageError;
use super::contract::output::Output;
use super::contract::stage::Ctx;
use super::contract::stage::Piece;
use crate::base::report::{Progress, Report};
use crate::engine::{Device, Runtime};

/// A context without a runtime.
pub(crate) struct TestCtx {
    pub folder: tempfile::TempDir,
    pub seed: u64,
    pub notes: Mutex<Vec<String>>,
    pub warnings: Mutex<Vec<String>>,
}

impl TestCtx {
    /// Returns a context with an empty folder.
    pub(crate) fn new(seed: u64) -> io::Result<TestCtx> {
        Ok(TestCtx {
            folder: tempfile::tempdir()?,
            seed,
            notes: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, content: &str) -> io::Result<()> {
        fs_err::write(self.folder.path().join(name), content)
    }

    /// Returns everything that was said, line by line.
    pub(crate) fn said(&self) -> String {
        let lines = |lines: &Mutex<Vec<String>>| match lines.lock() {
            Ok(lines) => lines.join("\n"),
            Err(_) => String::new(),
        };
        format!("{}\n{}", lines(&self.notes), lines(&self.warnings))
    }
}

impl Report for TestCtx {
    fn progress(&self, _: &Progress<'_>) {}
    fn note(&self, line: &str) {
        if let Ok(mut notes) = self.notes.lock() {
            notes.push(line.to_owned());
        }
    }
    fn warn(&self, line: &str) {
        if let Ok(mut warnings) = self.warnings.lock() {
            warnings.push(line.to_owned());
        }
    }
}

impl Ctx for TestCtx {
    fn stage(&self) -> &str {
        "tested"
    }
    fn seed(&self) -> u64 {
        self.seed
    }
    fn folder(&self) -> &Path {
        self.folder.path()
    }
    fn scratch(&self) -> &Path {
        self.folder.path()
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn threads(&self) -> usize {
        1
    }
    fn runtime(&self) -> Result<&Runtime, StageError> {
        unreachable!("the test needs no runtime")
    }
    fn shared(&self, piece: &dyn Piece) -> Result<Arc<dyn Output>, StageError> {
        piece.compute(self)
    }
    fn interrupted(&self) -> bool {
        false
    }
}
