//! Predictions by example.

use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use polars::prelude::*;

use super::error::TableError;
use super::frame::{self, Columns};
use super::tag::Tag;
use super::task;
use crate::base::digests;
use crate::base::files::AtomicFiles;

/// The prediction for one example.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    pub id: String,
    pub text: String,
    /// Indices into the labels.
    pub label: usize,
    pub prediction: usize,
    /// The probability of every class, in the order of the labels.
    pub probabilities: Vec<f32>,
}

const FILE: &str = "predictions.parquet";

/// Writes `predictions.parquet` into `folder`: `id`, `text`, `label` and `prediction` by name, and
/// a column `p/<label>` per class.
pub fn write(
    folder: &Path,
    labels: &[String],
    predictions: &[Prediction],
) -> Result<(), TableError> {
    let file = folder.join(FILE);
    let columns = columns(&[(labels, predictions)]);
    frame::write_parquet(&file, &mut frame::frame(&file, predictions.len(), columns)?)
}

/// Reads the file of [`write()`] for the same labels.
pub fn read(folder: &Path, labels: &[String]) -> Result<Vec<Prediction>, TableError> {
    let file = folder.join(FILE);
    let table = frame::read_parquet(&file)?;
    let columns = Columns { file: &file, frame: &table };
    let numbers = task::numbers(labels);
    let index = |name: &String| {
        numbers
            .get(name.as_str())
            .copied()
            .ok_or_else(|| frame::damaged(&file, format!("`{name}` is not one of its classes")))
    };
    let ids = columns.full_strings("id")?;
    let texts = columns.full_strings("text")?;
    let trues = columns.full_strings("label")?;
    let guesses = columns.full_strings("prediction")?;
    let probabilities: Vec<Vec<f32>> = labels
        .iter()
        .map(|label| columns.full_floats(&format!("p/{label}")))
        .collect::<Result<_, _>>()?;
    (0..table.height())
        .map(|row| {
            Ok(Prediction {
                id: ids[row].clone(),
                text: texts[row].clone(),
                label: index(&trues[row])?,
                prediction: index(&guesses[row])?,
                probabilities: probabilities.iter().map(|column| column[row]).collect(),
            })
        })
        .collect()
}

/// Adds a run's `predictions.parquet` to `files`: the predictions of every `evaluate` stage, each
/// row with its `stage`, `trial` and `seed`. The column `p/<label>` is empty for evaluations
/// without that class.
pub fn add_run(
    files: &mut AtomicFiles,
    blocks: &[(Tag, &[String], &[Prediction])],
) -> Result<(), TableError> {
    let file = files.folder().join(FILE);
    let mut all = super::tag::columns(blocks.iter().map(|(tag, _, rows)| (tag, rows.len())));
    let parts: Vec<(&[String], &[Prediction])> =
        blocks.iter().map(|(_, labels, rows)| (*labels, *rows)).collect();
    all.extend(columns(&parts));
    let height = parts.iter().map(|(_, rows)| rows.len()).sum();
    let bytes = frame::parquet_bytes(&file, &mut frame::frame(&file, height, all)?)?;
    Ok(files.add(FILE, &bytes)?)
}

/// The predictions of one evaluation of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub tag: Tag,
    pub labels: Vec<String>,
    pub rows: Vec<Prediction>,
}

/// Reads the file of [`add_run`] in `folder`; `None` without the file.
pub fn read_run(folder: &Path) -> Result<Option<Vec<Block>>, TableError> {
    let file = folder.join(FILE);
    if !digests::is_there(&file)? {
        return Ok(None);
    }
    let table = frame::read_parquet(&file)?;
    let columns = Columns { file: &file, frame: &table };
    let (stages, trials) = (columns.full_strings("stage")?, columns.integers("trial")?);
    let seeds = columns.full_integers("seed")?;
    let mut blocks: IndexMap<(&str, Option<u64>, u64), Vec<usize>> = IndexMap::new();
    for row in 0..table.height() {
        blocks.entry((&stages[row], trials[row], seeds[row])).or_default().push(row);
    }
    let (ids, texts) = (columns.full_strings("id")?, columns.full_strings("text")?);
    let (trues, guesses) = (columns.full_strings("label")?, columns.full_strings("prediction")?);
    let names =
        table.columns().iter().filter_map(|column| column.name().as_str().strip_prefix("p/"));
    let classes: Vec<(&str, Vec<Option<f32>>)> = names
        .map(|class| Ok((class, columns.floats(&format!("p/{class}"))?)))
        .collect::<Result<_, TableError>>()?;
    let block = |((stage, trial, seed), rows): ((&str, Option<u64>, u64), Vec<usize>)| {
        let known: Vec<&(&str, Vec<Option<f32>>)> = classes
            .iter()
            .filter(|(_, values)| rows.iter().all(|&row| values[row].is_some()))
            .collect();
        let index = |name: &str, row: usize| {
            known.iter().position(|(class, _)| *class == name).ok_or_else(|| {
                frame::damaged(
                    &file,
                    format!("row {}: `{name}` is not one of its classes", row + 1),
                )
            })
        };
        let prediction = |&row: &usize| {
            Ok(Prediction {
                id: ids[row].clone(),
                text: texts[row].clone(),
                label: index(&trues[row], row)?,
                prediction: index(&guesses[row], row)?,
                probabilities: known.iter().filter_map(|(_, values)| values[row]).collect(),
            })
        };
        Ok(Block {
            tag: Tag { stage: stage.to_owned(), trial, seed },
            labels: known.iter().map(|(class, _)| (*class).to_owned()).collect(),
            rows: rows.iter().map(prediction).collect::<Result<_, TableError>>()?,
        })
    };
    blocks.into_iter().map(block).collect::<Result<_, TableError>>().map(Some)
}

fn columns(parts: &[(&[String], &[Prediction])]) -> Vec<Column> {
    let rows =
        || parts.iter().flat_map(|(labels, rows)| rows.iter().map(move |row| (*labels, row)));
    let name = |labels: &[String], index: usize| labels.get(index).cloned();
    let mut columns = vec![
        Column::new("id".into(), rows().map(|(_, row)| row.id.as_str()).collect::<Vec<&str>>()),
        Column::new("text".into(), rows().map(|(_, row)| row.text.as_str()).collect::<Vec<&str>>()),
        Column::new(
            "label".into(),
            rows().map(|(l, row)| name(l, row.label)).collect::<Vec<Option<String>>>(),
        ),
        Column::new(
            "prediction".into(),
            rows().map(|(l, row)| name(l, row.prediction)).collect::<Vec<Option<String>>>(),
        ),
    ];
    let classes: IndexSet<&String> = parts.iter().flat_map(|(labels, _)| labels.iter()).collect();
    for class in classes {
        let mut values: Vec<Option<f32>> = Vec::new();
        for (labels, predictions) in parts {
            let index = labels.iter().position(|label| label == class);
            values.extend(
                predictions
                    .iter()
                    .map(|row| index.and_then(|index| row.probabilities.get(index).copied())),
            );
        }
        columns.push(Column::new(format!("p/{class}").into(), values));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(id: &str, label: usize, probabilities: [f32; 2]) -> Prediction {
        Prediction {
            id: id.into(),
            text: format!("text \"{id}\"\n😀"),
            label,
            prediction: usize::from(probabilities[1] > probabilities[0]),
            probabilities: probabilities.to_vec(),
        }
    }

    #[test]
    fn read_back_bit_for_bit() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let labels = ["a".to_owned(), "b c".to_owned()];
        let rows = [
            prediction("row-1", 0, [0.1, 0.9]),
            prediction("row-2", 1, [1.0 / 3.0, f32::MIN_POSITIVE]),
        ];
        write(folder.path(), &labels, &rows)?;
        assert_eq!(read(folder.path(), &labels)?, rows);
        assert!(
            read(folder.path(), &["a".to_owned()]).is_err(),
            "a class that is unknown to the reader"
        );
        Ok(())
    }

    #[test]
    fn a_run_may_hold_different_classes() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let (first, second) = (["a".to_owned(), "b".to_owned()], ["b".to_owned(), "c".to_owned()]);
        let rows = [prediction("row-1", 0, [0.25, 0.75])];
        let tag = |stage: &str| Tag { stage: stage.into(), trial: Some(3), seed: 13 };
        let mut files = AtomicFiles::new(folder.path());
        add_run(&mut files, &[(tag("one"), &first, &rows), (tag("two"), &second, &rows)])?;
        files.commit()?;
        let file = folder.path().join(FILE);
        let table = frame::read_parquet(&file)?;
        let columns = Columns { file: &file, frame: &table };
        assert_eq!(columns.full_strings("label")?, ["a", "b"]);
        assert_eq!(columns.full_strings("prediction")?, ["b", "c"]);
        assert_eq!(columns.integers("trial")?, [Some(3), Some(3)]);
        assert!(columns.full_floats("p/a").is_err() && columns.full_floats("p/b").is_ok());
        let blocks = read_run(folder.path())?.unwrap_or_default();
        let block = |stage: &str, labels: &[String]| Block {
            tag: tag(stage),
            labels: labels.to_vec(),
            rows: rows.to_vec(),
        };
        assert_eq!(blocks, [block("one", &first), block("two", &second)]);
        assert_eq!(read_run(&folder.path().join("none"))?, None);
        Ok(())
    }
}
