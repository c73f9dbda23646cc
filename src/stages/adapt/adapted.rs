//! What `adapt` gives, and how it lies on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::data::{Curves, Seen, TableError};
use crate::model::masked::MaskedHead;
use crate::model::pretrained::{LEARNT_TEXTS, SEEN_TEXTS};
use crate::model::source::content::content;
use crate::model::{Embedder, Pretrained};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Kind, Output, TrainingSummary};

/// The texts that the encoder had learnt from before with their labels.
const RECORD: &str = "adaptation.json";

/// An encoder that was adapted to texts.
///
/// On the disk: a folder as `transformers` and sentence-transformers open it, `adaptation.json`
/// (what the training took), `curves.parquet`, `seen_texts.parquet` and perhaps
/// `learnt_texts.parquet`.
#[derive(Debug)]
pub struct AdaptedEncoder {
    /// With its weights.
    pub pretrained: Pretrained,
    /// The head that says which tokens were hidden, where one was trained.
    pub masked: Option<MaskedHead>,
    /// What makes the vectors that were learnt, where it is not what the folder says.
    pub embedder: Option<Embedder>,
    pub summary: TrainingSummary,
    /// The loss by step.
    pub curves: Curves,
    /// All texts that it has read, here or before.
    pub seen: Seen,
    /// Those that it had learnt from before with their labels.
    pub learnt: Seen,
}

/// An adapted encoder that lies in a folder.
#[derive(Clone, Debug)]
pub struct StoredEncoder {
    pub folder: PathBuf,
    /// Of its content.
    pub identity: Digest,
    pub seen: Seen,
    pub learnt: Seen,
}

/// What `adaptation.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    summary: TrainingSummary,
}

impl Kind {
    /// An encoder that texts can be trained with.
    pub const ENCODER: Kind = Kind {
        curves: Some(Curves::read),
        ..Kind::new("an adapted encoder", |folder| Ok(Arc::new(StoredEncoder::read(folder)?)))
    };
}

impl StoredEncoder {
    fn read(folder: &Path) -> Result<StoredEncoder, StageError> {
        Ok(StoredEncoder {
            folder: folder.to_owned(),
            identity: content(folder)?,
            seen: Seen::read(&folder.join(SEEN_TEXTS))?,
            learnt: Seen::read(&folder.join(LEARNT_TEXTS))?,
        })
    }
}

impl Output for AdaptedEncoder {
    fn kind(&self) -> Kind {
        Kind::ENCODER
    }

    fn write(&self, folder: &Path) -> Result<(), StageError> {
        let (masked, embedder) = (self.masked.as_ref(), self.embedder.as_ref());
        self.pretrained.write_encoder(folder, masked, embedder)?;
        let file = folder.join(RECORD);
        let record = Record { summary: self.summary.clone() };
        let json = serde_json::to_vec_pretty(&record).map_err(|error| TableError::Unwritable {
            file: file.display().to_string(),
            reason: error.to_string(),
        })?;
        fs::write(file, json).map_err(TableError::from)?;
        self.seen.write(&folder.join(SEEN_TEXTS))?;
        self.learnt.write(&folder.join(LEARNT_TEXTS))?;
        Ok(self.curves.write(folder)?)
    }
}

impl Output for StoredEncoder {
    fn kind(&self) -> Kind {
        Kind::ENCODER
    }

    /// Copies the folder.
    fn write(&self, folder: &Path) -> Result<(), StageError> {
        Ok(copy(&self.folder, folder).map_err(TableError::from)?)
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let to = to.join(name);
        if path.is_dir() {
            fs::create_dir_all(&to)?;
            copy(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}
