//! The state of unfinished training on the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, View};
use serde::{Deserialize, Serialize};

use super::plateau::Plateau;
use super::watch::Watch;
use crate::base::digest::Digest;
use crate::base::files::write_atomic;
use crate::data::curves::CurvePoint;
use crate::model::weights::Floats;

/// Everything but tensors that training goes on from: the state at the end of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs done.
    pub epochs: u32,
    /// Optimizer steps done.
    pub steps: u64,
    pub seconds: f64,
    pub plateau: Plateau,
    pub stopping: Watch,
    pub best: Watch,
    pub curves: Vec<CurvePoint>,
    /// Whether early stopping has ended training.
    pub stopped: bool,
    /// The numbers of the steps that were left out because gradients overflowed.
    #[serde(default)]
    pub skipped: Vec<u64>,
    /// The most tokens of a part, where memory or the configuration set a limit.
    #[serde(default)]
    pub limit: Option<usize>,
    /// The most parts that a batch was computed in.
    #[serde(default)]
    pub parts: usize,
}

/// Tensors by name: the trained parameters, the optimizer's state and the best epoch's parameters.
pub type Tensors = BTreeMap<String, Vec<f32>>;

const FILE: &str = "checkpoint.safetensors";
const PROGRESS: &str = "progress";
const DIGEST: &str = "digest";

/// Writes a checkpoint, which takes the place of the last one whole or not at all.
pub fn write(folder: &Path, progress: &Progress, tensors: &Tensors) -> std::io::Result<()> {
    let views = || tensors.iter().map(|(name, values)| (name.clone(), Floats::flat(values)));
    let metadata = [
        (PROGRESS.to_owned(), serde_json::to_string(progress)?),
        (DIGEST.to_owned(), digest(views().map(|(_, view)| view.data().into_owned())).to_string()),
    ];
    let metadata = Some(metadata.into_iter().collect());
    let file = safetensors::serialize(views(), metadata).map_err(std::io::Error::other)?;
    write_atomic(&path(folder), &file)
}

/// Reads the checkpoint, if there is a whole one.
pub fn read(folder: &Path) -> Option<(Progress, Tensors)> {
    let file = fs::read(path(folder)).ok()?;
    let (_, header) = SafeTensors::read_metadata(&file).ok()?;
    let metadata = header.metadata().as_ref()?;
    let progress = serde_json::from_str(metadata.get(PROGRESS)?).ok()?;
    let tensors = SafeTensors::deserialize(&file).ok()?;
    let mut named: Vec<(String, TensorView<'_>)> = tensors.tensors();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    if metadata.get(DIGEST)? != &digest(named.iter().map(|(_, view)| view.data())).to_string() {
        return None;
    }
    let floats = |data: &[u8]| {
        data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    Some((progress, named.into_iter().map(|(name, view)| (name, floats(view.data()))).collect()))
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
        let progress = Progress {
            epochs: 2,
            steps: 7,
            seconds: 1.5,
            plateau: Plateau::new(1e-5),
            stopping: Watch::default(),
            best: Watch::default(),
            curves: vec![CurvePoint {
                step: 1,
                epoch: 1,
                loss: 0.1 + 0.2,
                learning_rate: 1e-5,
                ..CurvePoint::default()
            }],
            stopped: false,
            skipped: vec![3],
            limit: Some(128),
            parts: 2,
        };
        let tensors: Tensors =
            [("b".to_owned(), vec![1.0, f32::MIN_POSITIVE]), ("a".to_owned(), vec![-0.0])].into();
        assert_eq!(read(folder.path()), None);
        write(folder.path(), &progress, &tensors)?;
        assert_eq!(read(folder.path()), Some((progress, tensors)));
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
