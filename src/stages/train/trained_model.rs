//! How a trained model lies on the disk.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::{Curves, TableError};
use crate::model::input_layout::InputLayout;
use crate::model::pretrained::tokenizer_files;
use crate::model::{Head, Pretrained, export};
use crate::stages::contract::artifact::{Network, OnnxModel, TrainedModel, TrainingSummary};
use crate::stages::contract::error::StageError;

const FILE: &str = "training.json";

/// The files that tell of a training: what is left of a model that is not needed any more.
pub const RECORDS: [&str; 2] = [FILE, "curves.parquet"];

/// What `training.json` holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    labels: Vec<String>,
    /// Of an encoder of ours.
    head: Option<Head>,
    /// Of any other network: the output of `model.onnx` with the logits.
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    layout: InputLayout,
    max_length: usize,
    summary: TrainingSummary,
}

impl TrainedModel {
    /// Writes the network's files, `training.json` and `curves.parquet` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<(), StageError> {
        let (head, output, layout) = match &self.network {
            Network::Encoder { pretrained, head } => {
                pretrained.write(folder, &self.labels)?;
                export::write(folder, pretrained, *head, self.labels.len())?;
                (Some(*head), None, InputLayout::default())
            }
            Network::Onnx(model) => {
                for (name, bytes) in &model.files {
                    fs_err::write(folder.join(name), bytes).map_err(TableError::from)?;
                }
                fs_err::write(folder.join(export::FILE), &model.model).map_err(TableError::from)?;
                (None, Some(model.output.clone()), model.layout)
            }
        };
        let record = Record {
            labels: self.labels.clone(),
            head,
            output,
            layout,
            max_length: self.max_length,
            summary: self.summary.clone(),
        };
        record.write(folder)?;
        Ok(self.curves.write(folder)?)
    }

    /// Reads what [`TrainedModel::write`] wrote.
    pub fn read(folder: &Path) -> Result<TrainedModel, StageError> {
        let Record { labels, head, output, layout, max_length, summary } = Record::read(folder)?;
        let network = match head {
            Some(head) => Network::Encoder { pretrained: Pretrained::read(folder)?, head },
            None => Network::Onnx(OnnxModel {
                model: fs_err::read(folder.join(export::FILE)).map_err(TableError::from)?,
                output: output.unwrap_or_default(),
                layout,
                files: tokenizer_files(folder)?,
            }),
        };
        Ok(TrainedModel { network, labels, max_length, summary, curves: Curves::read(folder)? })
    }
}

/// Returns the epoch whose weights were kept, of a model in a folder; `None` where it is the last.
pub(in crate::stages) fn best_epoch(folder: &Path) -> Result<Option<u32>, TableError> {
    Ok(Record::read(folder)?.summary.best_epoch)
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
        let record = Record {
            labels: vec!["a".into(), "b".into()],
            head: Some(Head::Mean),
            output: None,
            layout: InputLayout::default(),
            max_length: 128,
            summary,
        };
        record.write(folder.path())?;
        assert_eq!(Record::read(folder.path())?, record);
        fs_err::write(folder.path().join(FILE), "{}")?;
        assert!(matches!(Record::read(folder.path()), Err(TableError::Damaged { .. })));
        Ok(())
    }
}
