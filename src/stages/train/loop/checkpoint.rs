//! The state of unfinished training on the disk, and how often it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, View};
use serde::{Deserialize, Serialize};

use ndarray::ArrayD;

use super::error::NotSaved;
use crate::base::clock::Stopwatch;
use crate::base::digest::Digest;
use crate::base::files::write_atomic_with;
use crate::data::curves::CurvePoint;
use crate::model::weights::Floats;
use crate::stages::train::plateau::Plateau;
use crate::stages::train::stopping::{BestEpoch, Patience};

/// Checkpoints are written at the ends of epochs, at most this often in seconds: a shorter time of
/// work is quicker done again than saved.
const CHECKPOINT_SECONDS: f64 = 2.0;
/// The work between two checkpoints takes at least this many times as long as writing one: large
/// models on slow disks train on.
const CHECKPOINT_SHARE: f64 = 10.0;
/// How many bytes a second the first checkpoint counts with, before one was written.
const BYTES_A_SECOND: f64 = 1e8;

/// Everything but tensors that training goes on from: the state at the end of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Epochs done.
    pub epochs: u32,
    /// Optimizer steps done.
    pub steps: u64,
    pub seconds: f64,
    pub plateau: Plateau,
    pub patience: Patience,
    pub best: BestEpoch,
    pub curves: Vec<CurvePoint>,
    /// Whether early stopping has ended training.
    pub stopped: bool,
    /// The numbers of the steps that were left out because gradients overflowed.
    pub skipped: Vec<u64>,
    /// The most tokens of a micro-batch, where memory or the configuration set a limit.
    pub micro_batch_tokens: Option<usize>,
    /// The most micro-batches that a batch was computed in.
    pub micro_batches: usize,
    /// The texts that were read, each as often as it was read.
    pub encodings: u64,
}

impl TrainingState {
    /// Returns the state before the first step.
    pub fn new(learning_rates: Vec<f64>) -> TrainingState {
        TrainingState {
            epochs: 0,
            steps: 0,
            seconds: 0.0,
            plateau: Plateau::new(learning_rates),
            patience: Patience::default(),
            best: BestEpoch::default(),
            curves: Vec::new(),
            stopped: false,
            skipped: Vec::new(),
            micro_batch_tokens: None,
            micro_batches: 1,
            encodings: 0,
        }
    }
}

/// Tensors by name: the trained parameters, the optimizer's state and the best epoch's parameters.
pub type Tensors = BTreeMap<String, Vec<f32>>;

/// What the names of the best epoch's parameters begin with.
pub const BEST: &str = "best/";

const FILE: &str = "checkpoint.safetensors";
const STATE: &str = "progress";
const DIGEST: &str = "digest";

/// When checkpoints are due.
pub struct Cadence {
    /// Whether any is written.
    writes: bool,
    watch: Stopwatch,
    seconds_before: f64,
    /// The time of the watch before which none is due.
    next: f64,
}

impl Cadence {
    /// Starts the clock of a training that has taken so many seconds already, and whose checkpoints
    /// have so many bytes.
    pub fn start(writes: bool, seconds_before: f64, bytes: u64) -> Cadence {
        let next = next(bytes as f64 / BYTES_A_SECOND);
        Cadence { writes, watch: Stopwatch::start(), seconds_before, next }
    }

    /// Returns the seconds that the training has taken.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.watch.seconds()
    }

    /// Says whether a checkpoint is due; `pauses` asks for one at once.
    pub fn is_due(&self, pauses: bool) -> bool {
        self.writes && (pauses || self.watch.seconds() >= self.next)
    }

    /// Writes a checkpoint, and lets the next wait in proportion to the time that this took.
    pub fn save(
        &mut self,
        folder: &Path,
        state: &TrainingState,
        tensors: &Tensors,
    ) -> Result<(), NotSaved> {
        let now = self.watch.seconds();
        write(folder, state, tensors).map_err(NotSaved)?;
        let saved_at = self.watch.seconds();
        self.next = saved_at + next(saved_at - now);
        Ok(())
    }
}

/// Returns the seconds to the next checkpoint, where one takes so many.
fn next(seconds: f64) -> f64 {
    CHECKPOINT_SECONDS.max(seconds * CHECKPOINT_SHARE)
}

/// Returns the name under which a parameter of the best epoch is kept.
pub fn best_name(name: &str) -> String {
    format!("{BEST}{name}")
}

/// Returns parameters as those of the best epoch are kept.
pub fn best_weights(trained: BTreeMap<String, ArrayD<f32>>) -> Tensors {
    let flat = |array: ArrayD<f32>| array.into_iter().collect();
    trained.into_iter().map(|(name, array)| (best_name(&name), flat(array))).collect()
}

/// Writes a checkpoint, which takes the place of the last one whole or not at all.
pub fn write(folder: &Path, state: &TrainingState, tensors: &Tensors) -> std::io::Result<()> {
    let views = || tensors.iter().map(|(name, values)| (name.clone(), Floats::flat(values)));
    let metadata = [
        (STATE.to_owned(), serde_json::to_string(state)?),
        (DIGEST.to_owned(), digest(views().map(|(_, view)| view.data().into_owned())).to_string()),
    ];
    let metadata = Some(metadata.into_iter().collect());
    // Tensor by tensor, since all of them once more would be the most memory of a training.
    write_atomic_with(&path(folder), |file| {
        safetensors::serialize_to_file(views(), metadata, file).map_err(std::io::Error::other)
    })
}

/// Reads the checkpoint, if there is a whole one.
pub fn read(folder: &Path) -> Option<(TrainingState, Tensors)> {
    let file = fs::read(path(folder)).ok()?;
    let (_, header) = SafeTensors::read_metadata(&file).ok()?;
    let metadata = header.metadata().as_ref()?;
    let state = serde_json::from_str(metadata.get(STATE)?).ok()?;
    let tensors = SafeTensors::deserialize(&file).ok()?;
    let mut named: Vec<(String, TensorView<'_>)> = tensors.tensors();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    if metadata.get(DIGEST)? != &digest(named.iter().map(|(_, view)| view.data())).to_string() {
        return None;
    }
    let floats = |data: &[u8]| {
        data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    Some((state, named.into_iter().map(|(name, view)| (name, floats(view.data()))).collect()))
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn digest<T: AsRef<[u8]>>(parts: impl Iterator<Item = T>) -> Digest {
    let digests: String = parts.map(|part| Digest::of(part.as_ref()).to_string()).collect();
    Digest::of(digests.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_or_not_at_all() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let state = TrainingState {
            epochs: 2,
            steps: 7,
            seconds: 1.5,
            plateau: Plateau::new(vec![1e-5, 1e-3]),
            patience: Patience::default(),
            best: BestEpoch::default(),
            curves: vec![CurvePoint {
                step: 1,
                epoch: 1,
                loss: 0.1 + 0.2,
                learning_rate: 1e-5,
                ..CurvePoint::default()
            }],
            stopped: false,
            skipped: vec![3],
            micro_batch_tokens: Some(128),
            micro_batches: 2,
            encodings: 48,
        };
        let tensors: Tensors =
            [("b".to_owned(), vec![1.0, f32::MIN_POSITIVE]), ("a".to_owned(), vec![-0.0])].into();
        assert_eq!(read(folder.path()), None);
        write(folder.path(), &state, &tensors)?;
        assert_eq!(read(folder.path()), Some((state, tensors)));
        let file = path(folder.path());
        let mut bytes = fs::read(&file)?;
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        fs::write(&file, &bytes)?;
        assert_eq!(read(folder.path()), None);
        bytes.truncate(bytes.len() / 2);
        fs::write(&file, &bytes)?;
        assert_eq!(read(folder.path()), None);
        Ok(())
    }
}
