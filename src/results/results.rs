//! The results of a run: one row per `evaluate` stage, trial and seed.

use std::path::Path;

use indexmap::IndexSet;
use polars::prelude::*;
use serde_json::Value;

use super::columns::{self, LEADING, TRAILING};
use super::row::ResultRow;
use super::{results_csv, results_types};
use crate::base::digests;
use crate::base::files::AtomicFiles;
use crate::data::frame::{self, Columns};
use crate::data::{TableError, stored};

/// The results of a run, in the default order of display.
///
/// On the disk: `results.parquet` and, for other programs, `results.csv`. Columns: the fields of
/// [`ResultRow`] in their order, parameters as `param.<name>`, metrics by their bare names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultTable {
    pub rows: Vec<ResultRow>,
}

const PARQUET: &str = "results.parquet";
const CSV: &str = "results.csv";

impl ResultTable {
    /// Writes `results.parquet` and `results.csv` into `folder`, each atomically, with their
    /// digests.
    pub fn write(&self, folder: &Path) -> Result<(), TableError> {
        let mut files = AtomicFiles::new(folder);
        self.add_to(&mut files)?;
        files.add_digests()?;
        Ok(files.commit()?)
    }

    /// Adds `results.parquet` and `results.csv` to `files`.
    pub fn add_to(&self, files: &mut AtomicFiles) -> Result<(), TableError> {
        self.add_parquet(files)?;
        Ok(files.add(CSV, self.csv(None)?.as_bytes())?)
    }

    /// Adds only `results.parquet`.
    pub fn add_parquet(&self, files: &mut AtomicFiles) -> Result<(), TableError> {
        let file = files.folder().join(PARQUET);
        let mut table = self.frame(&file)?;
        Ok(files.add(PARQUET, &frame::parquet_bytes(&file, &mut table)?)?)
    }

    /// Reads the files of [`ResultTable::write`]. Parameters that are numbers in some rows and text
    /// in others are read as text.
    pub fn read(folder: &Path) -> Result<ResultTable, TableError> {
        let file = folder.join(PARQUET);
        let not_results = |reason| frame::damaged(&file, reason);
        let table = read_parquet(&file, not_results)?;
        ResultTable::of_frame(&file, &table)
    }

    /// Reads a table in any folder; the file's ending selects the format.
    pub fn read_file(file: &Path) -> Result<ResultTable, TableError> {
        let not_results =
            |reason: String| TableError::NotResults { file: file.display().to_string(), reason };
        let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let table = match ending.as_deref() {
            Some("parquet" | "pq") => read_parquet(file, not_results)?,
            Some("csv") => results_csv::read(file)?,
            _ => return Err(not_results("its ending is neither `.parquet` nor `.csv`".to_owned())),
        };
        let absent =
            ["run", "stage", "seed", "split"].iter().find(|name| table.column(name).is_err());
        if let Some(name) = absent {
            return Err(not_results(format!("it has no column `{name}`")));
        }
        ResultTable::of_frame(file, &table)
    }

    fn of_frame(file: &Path, table: &DataFrame) -> Result<ResultTable, TableError> {
        let columns = Columns { file, frame: table };
        let mut rows = vec![ResultRow::default(); table.height()];
        for column in LEADING.iter().chain(TRAILING) {
            column.read(table, &columns, &mut rows)?;
        }
        for column in table.columns() {
            let name = column.name().as_str();
            if let Some(param) = name.strip_prefix("param.") {
                for (row, result) in rows.iter_mut().enumerate() {
                    if let Some(value) =
                        value_at(column, row).map_err(|e| frame::damaged(file, e))?
                    {
                        result.params.insert(param.to_owned(), value);
                    }
                }
            } else if columns::find(name).is_none() {
                for (result, value) in rows.iter_mut().zip(columns.numbers(name)?) {
                    if let Some(value) = value {
                        result.metrics.insert(name.to_owned(), value);
                    }
                }
            }
        }
        Ok(ResultTable { rows })
    }

    /// Returns the names of the parameters of any row, in order of appearance.
    pub fn param_names(&self) -> IndexSet<String> {
        self.rows.iter().flat_map(|row| row.params.keys().cloned()).collect()
    }

    /// Returns the names of the metrics of any row, in order of appearance.
    pub fn metric_names(&self) -> IndexSet<String> {
        self.rows.iter().flat_map(|row| row.metrics.keys().cloned()).collect()
    }

    /// Returns the table as CSV with every column; numbers in full unless decimals are given.
    pub(super) fn csv(&self, decimals: Option<usize>) -> Result<String, TableError> {
        let file = Path::new(CSV);
        let mut table = self.frame(file)?;
        let mut bytes = Vec::new();
        CsvWriter::new(&mut bytes)
            .with_float_precision(decimals)
            .finish(&mut table)
            .map_err(|error| frame::unwritable(file, &error))?;
        String::from_utf8(bytes).map_err(|error| frame::damaged(file, error))
    }

    fn frame(&self, file: &Path) -> Result<DataFrame, TableError> {
        let rows = &self.rows;
        let mut columns: Vec<Column> = LEADING.iter().map(|column| column.series(rows)).collect();
        for name in self.param_names() {
            let values: Vec<Option<&Value>> =
                rows.iter().map(|row| row.params.get(&name)).collect();
            columns.push(param_column(&format!("param.{name}"), &values));
        }
        for name in self.metric_names() {
            let values: Vec<Option<f64>> =
                rows.iter().map(|row| row.metrics.get(&name).copied()).collect();
            columns.push(Column::new(name.as_str().into(), values));
        }
        columns.extend(TRAILING.iter().map(|column| column.series(rows)));
        frame::frame(file, rows.len(), columns)
    }
}

/// Reads a table that `pipe` wrote, also after another program has saved it.
fn read_parquet(
    file: &Path,
    not_results: impl Fn(String) -> TableError,
) -> Result<DataFrame, TableError> {
    let bytes = digests::read(file)?;
    let table = frame::measured(file, &bytes, || stored::frame(&bytes))?;
    results_types::conformed(&table).map_err(not_results)
}

/// Returns a parameter in the usual notation: text without quotes, small and large numbers as
/// `5e-5`, everything else as JSON.
pub fn display_param(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(value) if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) => {
                format!("{value:e}")
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The column has the narrowest type that holds all values of the parameter, so that numbers stay
/// numbers in the file.
fn param_column(name: &str, values: &[Option<&Value>]) -> Column {
    let all = |test: fn(&Value) -> bool| values.iter().flatten().all(|value| test(value));
    let name = name.into();
    if all(Value::is_i64) {
        Column::new(name, values.iter().map(|v| v.and_then(Value::as_i64)).collect::<Vec<_>>())
    } else if all(is_float) {
        Column::new(name, values.iter().map(|v| v.and_then(Value::as_f64)).collect::<Vec<_>>())
    } else if all(Value::is_boolean) {
        Column::new(name, values.iter().map(|v| v.and_then(Value::as_bool)).collect::<Vec<_>>())
    } else {
        Column::new(name, values.iter().map(|v| v.map(display_param)).collect::<Vec<_>>())
    }
}

/// Returns whether a number is the same as a float.
fn is_float(value: &Value) -> bool {
    /// A float identifies every whole number up to here.
    const WHOLE: u64 = 1 << 53;
    let whole = value.as_i64().map(i64::unsigned_abs).or(value.as_u64());
    value.is_number() && whole.is_none_or(|whole| whole <= WHOLE)
}

fn value_at(column: &Column, row: usize) -> PolarsResult<Option<Value>> {
    Ok(match column.dtype() {
        DataType::Int64 => column.i64()?.get(row).map(Value::from),
        DataType::Float64 => column.f64()?.get(row).map(Value::from),
        DataType::Boolean => column.bool()?.get(row).map(Value::from),
        _ => column.str()?.get(row).map(Value::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::AugmentationSummary;
    use indexmap::IndexMap;

    fn row(seed: u64, rate: Value) -> ResultRow {
        ResultRow {
            run: "20250101-support-ab12".into(),
            pipeline: "support".into(),
            stage: "score".into(),
            trial: (seed > 1).then_some(seed),
            seed,
            split: "test".into(),
            n: 30,
            params: IndexMap::from([
                ("learning_rate".into(), rate),
                ("shots".into(), Value::from(8)),
            ]),
            metrics: IndexMap::from([
                ("accuracy".into(), 0.1 + 0.2),
                ("f1/a,\"b\"".into(), 1.0 / 3.0),
            ]),
            steps: 40,
            seconds: 1.25,
            method: "contrastive".into(),
            chosen: "C 3.16 by 4 folds".into(),
            encodings: (seed > 1).then_some(640),
            peak_memory: (seed > 1).then_some(1 << 30),
            backend: "session".into(),
            backend_reason: "asked for".into(),
            initial_weights: "`m`: 37 tensors loaded; head kept".into(),
            device: "cpu".into(),
            parts: (seed > 1).then_some(2),
            augmentation: (seed > 1).then_some(AugmentationSummary {
                generated: 160,
                accepted_share: Some(0.75),
                augmentation_loss: None,
                copy_rate: Some(0.5),
            }),
            stopped_epoch: (seed > 1).then_some(3),
            error: (seed > 1).then(|| "the loss is NaN".to_owned()),
        }
    }

    #[test]
    fn reads_back_what_it_wrote_bit_for_bit() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let mut second = row(u64::MAX, Value::from(1e-5));
        second.metrics.shift_remove("accuracy");
        second.params.insert("freeze".into(), Value::from(true));
        let table = ResultTable { rows: vec![row(1, Value::from(5e-5)), second] };
        table.write(folder.path())?;
        assert_eq!(ResultTable::read(folder.path())?, table);
        let first = fs_err::read(folder.path().join(PARQUET))?;
        table.write(folder.path())?;
        assert_eq!(first, fs_err::read(folder.path().join(PARQUET))?);
        let empty = ResultTable::default();
        empty.write(folder.path())?;
        assert_eq!(ResultTable::read(folder.path())?, empty);
        Ok(())
    }

    #[test]
    fn whole_numbers_that_no_float_can_hold_become_text() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let most = [u64::MAX, u64::MAX - 1];
        let rows = most.map(|value| row(1, Value::from(value))).to_vec();
        ResultTable { rows }.write(folder.path())?;
        for file in ["results.parquet", "results.csv"] {
            let read = ResultTable::read_file(&folder.path().join(file))?;
            let found = read.rows.iter().map(|row| row.params["learning_rate"].clone());
            assert!(found.eq(most.map(|value| Value::from(value.to_string()))), "{file}");
        }
        Ok(())
    }

    #[test]
    fn a_parameter_of_mixed_types_becomes_text() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let table =
            ResultTable { rows: vec![row(1, Value::from(5e-5)), row(2, Value::from("auto"))] };
        table.write(folder.path())?;
        let read = ResultTable::read(folder.path())?;
        assert_eq!(read.rows[0].params["learning_rate"], Value::from("5e-5"));
        assert_eq!(read.rows[1].params["learning_rate"], Value::from("auto"));
        assert_eq!(read.rows[0].params["shots"], Value::from(8));
        Ok(())
    }

    #[test]
    fn csv_has_every_column_and_quotes() -> Result<(), TableError> {
        let csv = ResultTable { rows: vec![row(1, Value::from(5e-5))] }.csv(None)?;
        assert_eq!(
            csv.lines().next(),
            Some(
                "run,pipeline,stage,trial,seed,split,n,param.learning_rate,param.shots,accuracy,\"\
                 f1/a,\"\"b\"\"\",steps,seconds,encodings,peak_memory,generated,accepted_share,\
                 augmentation_loss,copy_rate,method,chosen,backend,backend_reason,initial_weights,device,parts,stopped_epoch,error"
            )
        );
        assert!(csv.contains(",0.30000000000000004,"), "{csv}");
        Ok(())
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        ResultTable { rows: vec![row(1, Value::from(1))] }.write(folder.path())?;
        let file = folder.path().join(PARQUET);
        let bytes = fs_err::read(&file)?;
        fs_err::write(&file, &bytes[..bytes.len() / 2])?;
        for said in ["results.parquet` has changed since", "results.parquet` is damaged"] {
            let message = ResultTable::read(folder.path()).map_err(|error| error.to_string());
            assert!(matches!(&message, Err(text) if text.contains(said)), "{message:?}");
            // Without a list of digests, the reader itself finds it.
            let _ = fs_err::remove_file(folder.path().join(digests::FILE));
        }
        Ok(())
    }
}
