//! The services of the runner for a running stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::interrupt::Interrupt;
use crate::base::clock::Stopwatch;
use crate::base::digest::Digest;
use crate::base::report::{Progress, Report};
use crate::base::secrets::Secrets;
use crate::engine::{Device, Runtime};
use crate::runner::cache::cache::{Cache, Unread, boxed};
use crate::runner::cache::entry::Done;
use crate::runner::cache::key::{FORMAT, KeyMaterial, canonical};
use crate::runner::error::OutputLost;
use crate::runner::observer::{Event, Observer};
use crate::stages::contract::error::Interrupted;
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

/// Where the pieces of the work of a stage are kept.
#[derive(Clone, Copy)]
pub(in crate::runner) struct Shelf<'a> {
    pub cache: &'a Cache,
    /// The key of the stage, whose engine its pieces have too.
    pub material: &'a KeyMaterial,
    /// The pipeline file, for the cache's records.
    pub pipeline: &'a str,
    /// The pieces that were made anew, where nothing of the cache is to be used; `None` where it
    /// is.
    pub renewed: Option<&'a Mutex<BTreeSet<Digest>>>,
}

impl Shelf<'_> {
    /// Says whether a piece is still to be made anew, whatever the cache has.
    fn renews(&self, key: &Digest) -> bool {
        self.renewed.is_some_and(|renewed| {
            !renewed.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
        })
    }

    /// Returns the output of a piece: the cache's, or what the work gives now.
    pub(in crate::runner) fn take(
        &self,
        ctx: &StageContext<'_>,
        piece: &dyn Piece,
    ) -> Result<Arc<dyn Output>, StageError> {
        let material = KeyMaterial {
            format: FORMAT,
            kind: piece.name().to_owned(),
            code_version: piece.code_version(),
            config: canonical(&piece.config()),
            inputs: BTreeMap::new(),
            seed: None,
            runtime: self.material.runtime.clone(),
            externals: piece.externals(),
        };
        let key = material.key();
        let renews = self.renews(&key);
        if !renews && let Ok(output) = self.cache.read(piece.kind(), &key) {
            return Ok(output);
        }
        let waiting = || ctx.note("waiting for another stage that computes the same");
        let held = self.cache.lock(&key, waiting, || ctx.interrupted()).map_err(boxed)?;
        let Some(_held) = held else { return Err(Box::new(Interrupted)) };
        match self.cache.read(piece.kind(), &key) {
            Ok(output) if !renews => return Ok(output),
            Ok(_) => {}
            Err(Unread::Lost(_)) => self.cache.set_aside(&key).map_err(boxed)?,
            Err(Unread::Failed(error)) => return Err(error),
        }
        let stopwatch = Stopwatch::start();
        // Unfinished work is known by the piece's own key: other pieces of the stage have the same
        // tensors.
        let own = StageContext { scratch: self.cache.scratch(&key), ..ctx.clone() };
        let output = piece.compute(&own)?;
        let about = format!("{} for {}", piece.name(), ctx.stage());
        let done = Done::new(key, &about, self.pipeline, ctx.seed(), stopwatch.seconds());
        self.cache.store(&key, &material, done, |folder| output.write(folder))?;
        self.cache.clear_scratch(&key).map_err(boxed)?;
        drop(output);
        if let Some(renewed) = self.renewed {
            renewed.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        }
        // As it is found from now on: what is read of its files is read where they stay.
        self.cache.read(piece.kind(), &key).map_err(|unread| match unread {
            Unread::Failed(error) => error,
            Unread::Lost(reason) => {
                Box::new(OutputLost { stage: ctx.stage().to_owned(), reason }) as StageError
            }
        })
    }
}
