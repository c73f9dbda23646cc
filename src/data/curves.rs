//! Learning curves: loss, learning rate and dev metrics by step.

use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use polars::prelude::*;

use super::error::TableError;
use super::frame::{self, Columns};
use super::tag::Tag;
use crate::base::digests;
use crate::base::files::AtomicFiles;

/// Learning curves: one row per optimizer step, with dev metrics on the last row of an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves(pub Vec<CurvePoint>);

/// One optimizer step.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CurvePoint {
    /// From 1.
    pub step: u64,
    /// From 1.
    pub epoch: u32,
    /// The mean loss of the step's examples.
    pub loss: f64,
    pub learning_rate: f64,
    /// The global L2 norm of the gradients before clipping, if it was computed.
    pub gradient_norm: Option<f64>,
    /// The dev metrics by name, at the end of an epoch; columns `dev_<name>` in the file.
    #[serde(deserialize_with = "numbers_or_nan")]
    pub dev: IndexMap<String, f64>,
}

/// Reads numbers of which JSON writes those that are none as `null`.
fn numbers_or_nan<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<IndexMap<String, f64>, D::Error> {
    let numbers: IndexMap<String, Option<f64>> = serde::Deserialize::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// What the columns of dev metrics begin with.
const DEV: &str = "dev_";
/// The dev metrics that every file has columns of.
const ALWAYS: [&str; 3] = ["loss", "accuracy", "macro_f1"];

const FILE: &str = "curves.parquet";

impl Curves {
    /// Writes `curves.parquet` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<(), TableError> {
        let file = folder.join(FILE);
        let points: Vec<&CurvePoint> = self.0.iter().collect();
        frame::write_parquet(&file, &mut frame::frame(&file, points.len(), columns(&points))?)
    }

    /// Reads the file of [`Curves::write`].
    pub fn read(folder: &Path) -> Result<Curves, TableError> {
        let file = folder.join(FILE);
        points(Columns { file: &file, frame: &frame::read_parquet(&file)? }).map(Curves)
    }
}

/// Reads the file of [`add_run`] in `folder`: the points of every training with its tag; empty
/// without the file.
pub fn read_run(folder: &Path) -> Result<Vec<(Tag, Vec<CurvePoint>)>, TableError> {
    let file = folder.join(FILE);
    if !digests::is_there(&file)? {
        return Ok(Vec::new());
    }
    let table = frame::read_parquet(&file)?;
    let columns = || Columns { file: &file, frame: &table };
    let (stages, trials) = (columns().full_strings("stage")?, columns().integers("trial")?);
    let seeds = columns().full_integers("seed")?;
    let mut blocks: IndexMap<(&str, Option<u64>, u64), Vec<CurvePoint>> = IndexMap::new();
    for (row, point) in points(columns())?.into_iter().enumerate() {
        blocks.entry((&stages[row], trials[row], seeds[row])).or_default().push(point);
    }
    let tag = |(stage, trial, seed): (&str, Option<u64>, u64)| Tag {
        stage: stage.to_owned(),
        trial,
        seed,
    };
    Ok(blocks.into_iter().map(|(key, points)| (tag(key), points)).collect())
}

fn points(columns: Columns<'_>) -> Result<Vec<CurvePoint>, TableError> {
    let steps = columns.full_integers("step")?;
    let epochs = columns.full_integers("epoch")?;
    let losses = columns.full_numbers("loss")?;
    let rates = columns.full_numbers("learning_rate")?;
    let norms = columns.numbers("gradient_norm")?;
    let names = columns.frame.get_column_names().into_iter().map(|name| name.as_str());
    let dev = names
        .filter_map(|column| Some((column.strip_prefix(DEV)?, column)))
        .map(|(name, column)| Ok((name, columns.numbers(column)?)))
        .collect::<Result<Vec<_>, TableError>>()?;
    let dev_of = |row: usize| {
        dev.iter().filter_map(move |(name, values)| Some(((*name).to_owned(), values[row]?)))
    };
    (0..columns.frame.height())
        .map(|row| {
            Ok(CurvePoint {
                step: steps[row],
                epoch: u32::try_from(epochs[row])
                    .map_err(|error| frame::damaged(columns.file, error))?,
                loss: losses[row],
                learning_rate: rates[row],
                gradient_norm: norms[row],
                dev: dev_of(row).collect(),
            })
        })
        .collect()
}

/// Adds a run's `curves.parquet` to `files`: the curves of every trained model; each row has its
/// `stage`, `trial` and `seed`.
pub fn add_run(files: &mut AtomicFiles, blocks: &[(Tag, &Curves)]) -> Result<(), TableError> {
    let file = files.folder().join(FILE);
    let points: Vec<&CurvePoint> = blocks.iter().flat_map(|(_, curves)| &curves.0).collect();
    let mut all = super::tag::columns(blocks.iter().map(|(tag, curves)| (tag, curves.0.len())));
    all.extend(columns(&points));
    let bytes = frame::parquet_bytes(&file, &mut frame::frame(&file, points.len(), all)?)?;
    Ok(files.add(FILE, &bytes)?)
}

fn columns(points: &[&CurvePoint]) -> Vec<Column> {
    let numbers = |name: &str, of: fn(&CurvePoint) -> Option<f64>| {
        Column::new(name.into(), points.iter().map(|point| of(point)).collect::<Vec<Option<f64>>>())
    };
    let counts = |name: &str, of: fn(&CurvePoint) -> u64| {
        Column::new(name.into(), points.iter().map(|point| of(point)).collect::<Vec<u64>>())
    };
    let mut names: IndexSet<&str> = ALWAYS.into_iter().collect();
    names.extend(points.iter().flat_map(|point| point.dev.keys().map(String::as_str)));
    let dev = names.into_iter().map(|name| {
        let values: Vec<Option<f64>> =
            points.iter().map(|point| point.dev.get(name).copied()).collect();
        Column::new(format!("{DEV}{name}").into(), values)
    });
    let plain = [
        counts("step", |point| point.step),
        counts("epoch", |point| point.epoch.into()),
        numbers("loss", |point| Some(point.loss)),
        numbers("learning_rate", |point| Some(point.learning_rate)),
        numbers("gradient_norm", |point| point.gradient_norm),
    ];
    plain.into_iter().chain(dev).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves() -> Curves {
        let plain = CurvePoint {
            step: 1,
            epoch: 1,
            loss: 0.1 + 0.2,
            learning_rate: 5e-5,
            ..Default::default()
        };
        let end = CurvePoint {
            step: 2,
            gradient_norm: Some(1.5),
            dev: [("loss", 0.25), ("mcc", -0.5), ("accuracy", 2.0 / 3.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
            ..plain.clone()
        };
        Curves(vec![plain, end])
    }

    #[test]
    fn read_back_what_was_written() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        for curves in [curves(), Curves::default()] {
            curves.write(folder.path())?;
            assert_eq!(Curves::read(folder.path())?, curves);
        }
        Ok(())
    }

    #[test]
    fn every_dev_metric_has_a_column() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        curves().write(folder.path())?;
        let table = frame::read_parquet(&folder.path().join(FILE))?;
        let names = table.get_column_names();
        let dev = ["dev_loss", "dev_accuracy", "dev_macro_f1", "dev_mcc"];
        assert!(names[5..].iter().map(|name| name.as_str()).eq(dev), "{names:?}");
        let json = serde_json::json!({ "loss": 0.5, "nll": null });
        let read = numbers_or_nan(json).map_err(|error| frame::damaged(folder.path(), error))?;
        assert!(read["loss"] == 0.5 && read["nll"].is_nan());
        Ok(())
    }

    #[test]
    fn a_run_says_where_each_row_comes_from() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let tag = |stage: &str, seed| Tag { stage: stage.into(), trial: None, seed };
        let mut files = AtomicFiles::new(folder.path());
        add_run(&mut files, &[(tag("tuned", 1), &curves()), (tag("plain", 2), &curves())])?;
        files.commit()?;
        let file = folder.path().join(FILE);
        let table = frame::read_parquet(&file)?;
        let columns = Columns { file: &file, frame: &table };
        assert_eq!(columns.full_strings("stage")?, ["tuned", "tuned", "plain", "plain"]);
        assert_eq!(columns.full_integers("seed")?, [1, 1, 2, 2]);
        assert_eq!(columns.full_integers("step")?, [1, 2, 1, 2]);
        assert_eq!(
            read_run(folder.path())?,
            [(tag("tuned", 1), curves().0), (tag("plain", 2), curves().0)]
        );
        assert_eq!(read_run(&folder.path().join("none"))?, []);
        Ok(())
    }
}
