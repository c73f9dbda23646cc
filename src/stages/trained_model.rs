//! How a trained model lies on the disk.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::artifact::{TrainedModel, TrainingSummary};
use super::stage::StageError;
use crate::model::{Head, Pretrained, export};
use crate::table::{Curves, TableError};

const FILE: &str = "training.json";

/// What `training.json` holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    labels: Vec<String>,
    head: Head,
    max_length: usize,
    summary: TrainingSummary,
}

impl TrainedModel {
    /// Writes the Hugging Face folder, `model.onnx`, `training.json` and `curves.parquet` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<(), StageError> {
        self.pretrained.write(folder, &self.labels)?;
        export::write(folder, &self.pretrained, self.head, self.labels.len())?;
        let record = Record {
            labels: self.labels.clone(),
            head: self.head,
            max_length: self.max_length,
            summary: self.summary.clone(),
        };
        record.write(folder)?;
        Ok(self.curves.write(folder)?)
    }

    /// Reads what [`TrainedModel::write`] wrote.
    pub fn read(folder: &Path) -> Result<TrainedModel, StageError> {
        let Record { labels, head, max_length, summary } = Record::read(folder)?;
        let pretrained = Pretrained::read(folder)?;
        Ok(TrainedModel { pretrained, labels, head, max_length, summary, curves: Curves::read(folder)? })
    }
}

impl Record {
    fn write(&self, folder: &Path) -> Result<(), TableError> {
        let file = folder.join(FILE);
        let json = serde_json::to_vec_pretty(self).map_err(|error| TableError::Unwritable {
            file: file.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(fs_err::write(file, json)?)
    }

    fn read(folder: &Path) -> Result<Record, TableError> {
        let file = folder.join(FILE);
        serde_json::from_slice(&fs_err::read(&file)?).map_err(|error| TableError::Damaged {
            file: file.display().to_string(),
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_training_took_reads_back() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let summary = TrainingSummary {
            steps: 40,
            seconds: 12.345678,
            backend: "session".into(),
            device: "cpu".into(),
            best_epoch: Some(3),
            ..TrainingSummary::default()
        };
        let record =
            Record { labels: vec!["a".into(), "b".into()], head: Head::Mean, max_length: 128, summary };
        record.write(folder.path())?;
        assert_eq!(Record::read(folder.path())?, record);
        fs_err::write(folder.path().join(FILE), "{}")?;
        assert!(matches!(Record::read(folder.path()), Err(TableError::Damaged { .. })));
        Ok(())
    }
}
