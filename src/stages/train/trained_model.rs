//! How a trained model lies on the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

use super::objective::DevMetric;
use crate::base::digest::Digest;
use crate::data::curves::CurvePoint;
use crate::data::{Curves, Scored, Seen, Split, TableError};
use crate::model::adapters::peft;
use crate::model::input_layout::InputLayout;
use crate::model::pretrained::{CONFIG, SEEN_TEXTS, tokenizer_files};
use crate::model::sentences::Preparation;
use crate::model::{Head, Pretrained, export};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{
    Kind, Network, OnnxModel, Output, TrainedModel, TrainingSummary,
};
use crate::stages::figure::{DEV, Figures};

const FILE: &str = "training.json";

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
    /// What each model of an ensemble counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    members: Vec<f64>,
    max_length: usize,
    #[serde(default)]
    preparation: Preparation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen: Option<Digest>,
    summary: TrainingSummary,
}

impl TrainedModel {
    /// Says whether a folder has one, sound or not. Other programs may have a file of this name
    /// too.
    pub fn is_in(folder: &Path) -> bool {
        let Ok(bytes) = fs_err::read(folder.join(FILE)) else { return false };
        let json: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        json.is_none_or(|json| json.get("summary").is_some())
    }

    /// Reads what [`Output::write`] wrote.
    pub fn read(folder: &Path) -> Result<TrainedModel, StageError> {
        let record = Record::read(folder)?;
        let Record { labels, max_length, preparation, frozen, summary, .. } = record;
        let network = match record.head {
            _ if !record.members.is_empty() => {
                let read = |(place, share)| {
                    Ok((Arc::new(TrainedModel::read(&member(folder, place))?), share))
                };
                let members = record.members.into_iter().enumerate().map(read);
                Network::Ensemble(members.collect::<Result<_, StageError>>()?)
            }
            Some(head) => {
                let pretrained = Box::new(Pretrained::read(folder)?);
                let form = pretrained.trained_form(head)?;
                Network::Encoder { pretrained, form }
            }
            None => Network::Onnx(OnnxModel {
                model: fs_err::read(folder.join(export::FILE)).map_err(TableError::from)?,
                output: record.output.unwrap_or_default(),
                layout: record.layout,
                files: onnx_files(folder)?,
            }),
        };
        let (curves, seen) = (Curves::read(folder)?, Seen::read(&folder.join(SEEN_TEXTS))?);
        let mut adapter = BTreeMap::new();
        for name in peft::FILES {
            let path = folder.join(peft::FOLDER).join(name);
            if path.is_file() {
                let bytes = fs_err::read(path).map_err(TableError::from)?;
                adapter.insert(name.to_owned(), bytes);
            }
        }
        Ok(TrainedModel {
            network,
            labels,
            max_length,
            preparation,
            frozen,
            summary,
            curves,
            seen,
            adapter,
        })
    }
}

/// Returns the folder of a model of an ensemble.
fn member(folder: &Path, place: usize) -> PathBuf {
    folder.join("members").join(place.to_string())
}

/// Returns the files of the tokenizer of a model that is no encoder of ours, by name. config.json
/// is among them where it is known, since the architecture tells how the others are read.
fn onnx_files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, StageError> {
    let mut files = tokenizer_files(folder)?;
    let config = folder.join(CONFIG);
    if config.is_file() {
        files.insert(CONFIG.to_owned(), fs_err::read(config).map_err(TableError::from)?);
    }
    Ok(files)
}

impl Kind {
    /// A trained model.
    pub const MODEL: Kind = Kind {
        records: Some(&[FILE, "curves.parquet"]),
        curves: Some(Curves::read),
        ..Kind::new("a trained model", |folder| Ok(Arc::new(TrainedModel::read(folder)?)))
    };
}

impl Output for TrainedModel {
    fn kind(&self) -> Kind {
        Kind::MODEL
    }

    /// Writes the network's files, `training.json`, `curves.parquet` and the texts that were seen
    /// into `folder`.
    fn write(&self, folder: &Path) -> Result<(), StageError> {
        let mut shares = Vec::new();
        let (head, output, layout) = match &self.network {
            Network::Ensemble(members) => {
                for (place, (model, share)) in members.iter().enumerate() {
                    let folder = member(folder, place);
                    fs_err::create_dir_all(&folder).map_err(TableError::from)?;
                    model.write(&folder)?;
                    shares.push(*share);
                }
                (None, None, InputLayout::default())
            }
            Network::Encoder { pretrained, form } => {
                pretrained.write(folder, form, &self.labels)?;
                export::write(folder, pretrained, form, self.labels.len())?;
                (Some(form.head()), None, InputLayout::default())
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
            members: shares,
            max_length: self.max_length,
            preparation: self.preparation.clone(),
            frozen: self.frozen,
            summary: self.summary.clone(),
        };
        record.write(folder)?;
        self.seen.write(&folder.join(SEEN_TEXTS))?;
        if !self.adapter.is_empty() {
            let folder = folder.join(peft::FOLDER);
            fs_err::create_dir(&folder).map_err(TableError::from)?;
            for (name, bytes) in &self.adapter {
                fs_err::write(folder.join(name), bytes).map_err(TableError::from)?;
            }
        }
        Ok(self.curves.write(folder)?)
    }
}

/// The figures of the epoch whose weights are kept, the usual ones first.
static FIGURES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let usual = ["macro_f1", "accuracy", "loss"];
    let names: IndexSet<&str> = usual.iter().chain(DevMetric::names()).copied().collect();
    names.into_iter().map(|name| &*format!("{DEV}{name}").leak()).collect()
});

/// Returns the figures of a training.
pub(super) fn figures() -> Figures {
    Figures {
        split: Scored::Split(Split::Dev),
        names: FIGURES.clone(),
        of_classes: false,
        read: read_figure,
    }
}

/// Reads a figure of the epoch whose weights were kept; of the last one where none was chosen.
fn read_figure(folder: &Path, name: &str) -> Result<Option<f64>, StageError> {
    let kept = Record::read(folder)?.summary.best_epoch;
    let curves = Curves::read(folder)?;
    let of_epoch = |point: &&CurvePoint| {
        kept.is_none_or(|epoch| point.epoch == epoch) && !point.dev.is_empty()
    };
    let point = curves.0.iter().rev().find(of_epoch);
    let value = |point: &CurvePoint| point.dev.get(name.strip_prefix(DEV)?).copied();
    Ok(point.and_then(value))
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
    use crate::text::Windows;

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
            members: Vec::new(),
            max_length: 128,
            preparation: Preparation {
                prompt: Some("query: ".into()),
                lowers: true,
                windows: Some(Windows::default()),
            },
            frozen: None,
            summary,
        };
        record.write(folder.path())?;
        assert_eq!(Record::read(folder.path())?, record);
        fs_err::write(folder.path().join(FILE), "{}")?;
        assert!(matches!(Record::read(folder.path()), Err(TableError::Damaged { .. })));
        Ok(())
    }
}
