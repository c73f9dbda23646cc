//! Tables of predictions: the columns of the table that was read, and new ones behind them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err::File;
use indexmap::IndexSet;
use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::guard::guarded;
use super::source::{Format, Original, Quoting};

/// A column that is added.
#[derive(Clone, Debug)]
pub struct Added {
    pub name: String,
    pub values: Values,
}

/// The values of a column that is added; `None` for rows without a prediction.
#[derive(Clone, Debug)]
pub enum Values {
    Texts(Vec<Option<String>>),
    Numbers(Vec<Option<f32>>),
}

/// A table that cannot be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum WriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("`{file}` cannot be written: {reason}")]
    Unwritable { file: String, reason: String },
    #[error("the table has a column `{name}` already")]
    #[diagnostic(help("put a prefix before the new columns: `--prefix model_`"))]
    Taken { name: String },
    #[error("row {row} has the key `{key}`, which no row before it has")]
    #[diagnostic(help(
        "a table has its columns at its beginning: write JSON lines, such as `-o out.jsonl`"
    ))]
    LateKey { row: usize, key: String },
}

impl WriteError {
    /// Says whether the reader of a stream went away, which is no fault of anyone.
    pub fn is_closed(&self) -> bool {
        match self {
            WriteError::Io(error) => error.kind() == io::ErrorKind::BrokenPipe,
            // polars hands the message on alone.
            WriteError::Unwritable { reason, .. } => reason.contains("Broken pipe"),
            WriteError::Taken { .. } | WriteError::LateKey { .. } => false,
        }
    }
}

/// Where a table goes.
enum Out {
    Stream(Box<dyn Write + Send>),
    /// Parquet, once its columns are known.
    Parquet(Option<File>, Option<Box<BatchedWriter<File>>>),
}

/// A table that is written part by part.
pub struct PredictedTable {
    file: PathBuf,
    format: Format,
    /// How fields were quoted in the table that was read.
    quoting: Quoting,
    /// The columns of the table that was read, where they are known.
    names: Option<Vec<String>>,
    out: Out,
    /// The number of rows that were written.
    rows: usize,
    is_begun: bool,
}

impl PredictedTable {
    /// Begins a table in a file, or on a stream in a format of text. `names` are the columns of the
    /// table that was read, where its header tells them.
    pub fn new(
        file: &Path,
        format: Format,
        (names, quoting): (Option<&[String]>, Quoting),
        out: Result<File, Box<dyn Write + Send>>,
    ) -> PredictedTable {
        let out = match out {
            Ok(file) if format == Format::Parquet => Out::Parquet(Some(file), None),
            Ok(file) => Out::Stream(Box::new(io::BufWriter::new(file))),
            Err(stream) => Out::Stream(stream),
        };
        let names = names.map(<[String]>::to_vec);
        let file = file.to_owned();
        PredictedTable { file, format, quoting, names, out, rows: 0, is_begun: false }
    }

    /// Writes rows with the columns that are added.
    ///
    /// # Errors
    ///
    /// Fails where a column has the name of one that is added, and where nothing can be written.
    pub fn write(&mut self, original: Original, added: &[Added]) -> Result<(), WriteError> {
        if self.format == Format::JsonLines {
            return self.write_objects(original, added);
        }
        let mut frame = self.frame(original)?;
        for Added { name, values } in added {
            if frame.get_column_index(name).is_some() {
                return Err(WriteError::Taken { name: name.clone() });
            }
            let column = match values {
                Values::Texts(texts) => Column::new(name.into(), texts),
                Values::Numbers(numbers) => Column::new(name.into(), numbers),
            };
            frame.with_column(column).map_err(|error| self.failed(&error))?;
        }
        self.rows += frame.height();
        self.write_frame(frame)
    }

    fn write_frame(&mut self, mut frame: DataFrame) -> Result<(), WriteError> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let (format, quoting) = (self.format, self.quoting);
        let done = match &mut self.out {
            Out::Stream(stream) => guarded(|| {
                // A tab within quotes would not be read as it was.
                let style = match (format, quoting) {
                    (Format::Csv, _) | (_, Quoting::Double) => QuoteStyle::Necessary,
                    _ => QuoteStyle::Never,
                };
                CsvWriter::new(stream)
                    .include_header(is_first)
                    .with_separator(if format == Format::Csv { b',' } else { b'\t' })
                    .with_quote_style(style)
                    .finish(&mut frame)
            }),
            Out::Parquet(file, writer) => guarded(|| {
                if let Some(file) = file.take() {
                    let settings = ParquetWriter::new(file);
                    let settings = settings.with_compression(ParquetCompression::Zstd(None));
                    *writer = Some(Box::new(settings.batched(frame.schema())?));
                }
                match writer {
                    Some(writer) => writer.write_batch(&frame),
                    None => Ok(()),
                }
            }),
        };
        done.map_err(|error| self.failed(&error))
    }

    /// Returns rows as a frame.
    fn frame(&mut self, original: Original) -> Result<DataFrame, WriteError> {
        let columns = match original {
            Original::Frame(frame) => return Ok(frame),
            Original::Fields(mut rows) => {
                let names = self.names.get_or_insert_with(|| vec!["text".to_owned()]);
                let mut column = |place: usize| -> Vec<Option<String>> {
                    rows.iter_mut().map(|row| row.get_mut(place).map(std::mem::take)).collect()
                };
                let columns = names.iter().enumerate();
                columns.map(|(place, name)| Column::new(name.into(), column(place))).collect()
            }
            Original::Objects(rows) => self.columns(&rows)?,
        };
        let height = columns.first().map_or(0, Column::len);
        DataFrame::new(height, columns).map_err(|error| self.failed(&error))
    }

    /// Returns the members of objects by column: those that the first objects have.
    fn columns(
        &mut self,
        rows: &[Vec<(String, Box<RawValue>)>],
    ) -> Result<Vec<Column>, WriteError> {
        let names = self.names.get_or_insert_with(|| {
            let keys = rows.iter().flatten().map(|(key, _)| key.clone());
            keys.collect::<IndexSet<String>>().into_iter().collect()
        });
        let mut columns = vec![vec![None; rows.len()]; names.len()];
        for (index, row) in rows.iter().enumerate() {
            for (key, value) in row {
                let Some(place) = names.iter().position(|name| name == key) else {
                    return Err(WriteError::LateKey {
                        row: self.rows + index + 1,
                        key: key.clone(),
                    });
                };
                columns[place][index] = match serde_json::from_str(value.get()) {
                    Ok(Value::String(text)) => Some(text),
                    Ok(Value::Null) => None,
                    _ => Some(value.get().to_owned()),
                };
            }
        }
        let both = names.iter().zip(columns);
        Ok(both.map(|(name, values)| Column::new(name.into(), values)).collect())
    }

    fn write_objects(&mut self, original: Original, added: &[Added]) -> Result<(), WriteError> {
        let rows = match original {
            Original::Objects(rows) => rows
                .into_iter()
                .map(|row| row.into_iter().map(|(key, value)| (key, value.get().to_owned())))
                .map(Iterator::collect)
                .collect(),
            other => self.objects(other)?,
        };
        let mut text = String::new();
        for (row, members) in rows.into_iter().enumerate() {
            let members: Vec<(String, String)> = members;
            if let Some(taken) = added.iter().find(|it| members.iter().any(|own| own.0 == it.name))
            {
                return Err(WriteError::Taken { name: taken.name.clone() });
            }
            let new = added.iter().map(|Added { name, values }| {
                let value = match values {
                    Values::Texts(texts) => written(&texts[row]),
                    Values::Numbers(numbers) => written(&numbers[row]),
                };
                (name.clone(), value)
            });
            let all: Vec<String> = members
                .into_iter()
                .chain(new)
                .map(|(key, value)| format!("{}: {value}", written(&key)))
                .collect();
            text.push_str(&format!("{{{}}}\n", all.join(", ")));
            self.rows += 1;
        }
        match &mut self.out {
            Out::Stream(stream) => Ok(stream.write_all(text.as_bytes())?),
            Out::Parquet(..) => Ok(()),
        }
    }

    /// Returns rows of a table as the members of objects, each value as JSON has it.
    fn objects(&mut self, original: Original) -> Result<Vec<Vec<(String, String)>>, WriteError> {
        let frame = self.frame(original)?;
        let mut rows = vec![Vec::new(); frame.height()];
        for column in frame.columns() {
            let series = column.as_materialized_series();
            for (row, value) in rows.iter_mut().zip(series.iter()) {
                let value = match value {
                    AnyValue::Null => "null".to_owned(),
                    AnyValue::String(text) => written(&text),
                    AnyValue::StringOwned(text) => written(&text.as_str()),
                    AnyValue::Boolean(value) => value.to_string(),
                    // JSON has no number for what is none.
                    AnyValue::Float32(value) => written(&value),
                    AnyValue::Float64(value) => written(&value),
                    other => other.to_string(),
                };
                row.push((column.name().to_string(), value));
            }
        }
        Ok(rows)
    }

    /// Hands what was written on, so that who waits for it has it.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        match &mut self.out {
            Out::Stream(stream) => Ok(stream.flush()?),
            Out::Parquet(..) => Ok(()),
        }
    }

    /// Ends the table. One without a row has a header nevertheless, as far as it is known.
    pub fn finish(mut self, added: &[Added]) -> Result<(), WriteError> {
        if !self.is_begun && self.format != Format::JsonLines {
            self.write(Original::Fields(Vec::new()), added)?;
        }
        self.flush()?;
        if let Out::Parquet(_, Some(writer)) = &mut self.out {
            let done = guarded(|| writer.finish().map(drop));
            done.map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    fn failed(&self, error: &PolarsError) -> WriteError {
        let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
        WriteError::Unwritable { file: self.file.display().to_string(), reason }
    }
}

/// Returns a value as JSON has it.
fn written(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
