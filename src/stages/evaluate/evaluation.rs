//! Evaluations: their computation and their files.

use std::path::Path;
use std::sync::Arc;

use crate::data::{Prediction, Scored, TableError, predictions};
use crate::metrics::{self, Confusion, Row};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{
    Evaluation, Kind, Output, ReadScores, Summary, TrainingSummary,
};

const FILE: &str = "evaluation.json";

impl Summary {
    /// Reads only `evaluation.json`, whose numbers equal the computed ones to the last bit.
    pub fn read(folder: &Path) -> Result<Summary, StageError> {
        let file = folder.join(FILE);
        let bytes = fs_err::read(&file).map_err(TableError::from)?;
        let damaged =
            |reason: String| TableError::Damaged { file: file.display().to_string(), reason };
        Ok(serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?)
    }
}

impl Evaluation {
    /// Computes every metric of predictions, whose labels and probabilities must be of the given
    /// classes.
    pub fn new(
        split: Scored,
        labels: Vec<String>,
        predictions: Vec<Prediction>,
        training: TrainingSummary,
    ) -> Evaluation {
        let rows: Vec<Row<'_>> = predictions
            .iter()
            .map(|row| Row {
                label: row.label,
                prediction: row.prediction,
                probabilities: &row.probabilities,
            })
            .collect();
        let metrics = metrics::all(&labels, &rows);
        let confusion = Confusion::of(labels.len(), &rows).matrix();
        Evaluation { split, labels, predictions, metrics, confusion, training }
    }

    /// Returns everything but the predictions.
    pub fn summary(&self) -> Summary {
        Summary {
            split: self.split,
            labels: self.labels.clone(),
            n: self.predictions.len(),
            metrics: self.metrics.clone(),
            confusion: self.confusion.clone(),
            training: self.training.clone(),
        }
    }

    /// Reads what [`Output::write`] wrote.
    pub fn read(folder: &Path) -> Result<Evaluation, StageError> {
        let record = Summary::read(folder)?;
        let predictions = predictions::read(folder, &record.labels)?;
        Ok(Evaluation::new(record.split, record.labels, predictions, record.training))
    }
}

impl Kind {
    /// Predictions and metrics on one split.
    pub const SCORES: Kind = Kind {
        scores: Some(ReadScores { whole: Evaluation::read, summary: Summary::read }),
        ..Kind::new("scores", |folder| Ok(Arc::new(Evaluation::read(folder)?)))
    };
}

impl Output for Evaluation {
    fn kind(&self) -> Kind {
        Kind::SCORES
    }

    /// Writes `predictions.parquet` and `evaluation.json` into `folder`.
    fn write(&self, folder: &Path) -> Result<(), StageError> {
        predictions::write(folder, &self.labels, &self.predictions)?;
        let file = folder.join(FILE);
        let json = serde_json::to_vec_pretty(&self.summary()).map_err(|error| {
            TableError::Unwritable { file: file.display().to_string(), reason: error.to_string() }
        })?;
        fs_err::write(file, json).map_err(TableError::from)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;

    fn evaluation() -> Evaluation {
        let prediction = |id: &str, label, p: f32| Prediction {
            id: id.into(),
            text: format!("text {id}"),
            label,
            prediction: usize::from(p > 0.5),
            probabilities: vec![1.0 - p, p],
        };
        let rows = vec![
            prediction("test-1", 0, 0.1),
            prediction("test-2", 1, 0.7),
            prediction("test-3", 0, 0.9),
        ];
        let training =
            TrainingSummary { steps: 12, seconds: 1.5, device: "cpu".into(), ..Default::default() };
        Evaluation::new(Scored::Split(Split::Test), vec!["no".into(), "yes".into()], rows, training)
    }

    #[test]
    fn metrics_and_confusion_come_from_the_predictions() {
        let evaluation = evaluation();
        assert_eq!(evaluation.metrics["accuracy"], 2.0 / 3.0);
        assert_eq!(evaluation.confusion, [[1, 1], [0, 1]]);
    }

    #[test]
    fn reads_back_what_it_wrote_bit_for_bit() -> Result<(), StageError> {
        let folder = tempfile::tempdir().map_err(TableError::from)?;
        evaluation().write(folder.path())?;
        assert_eq!(Evaluation::read(folder.path())?, evaluation());
        let summary = Summary::read(folder.path())?;
        assert_eq!((summary.n, summary.metrics), (3, evaluation().metrics));
        fs_err::write(folder.path().join(FILE), "{").map_err(TableError::from)?;
        let message = Evaluation::read(folder.path())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(message.contains("evaluation.json` is damaged"), "{message}");
        Ok(())
    }
}
