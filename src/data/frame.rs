//! Polars frames as files, and their columns as plain values.

use std::path::Path;

use polars::prelude::*;

use super::error::TableError;
use super::guard::guarded;
use super::unpacked;
use crate::base::digests;

/// Frames below this number of bytes are not compressed: setting up a compressor for each column
/// takes longer than all the rest.
const SMALL: usize = 64 << 10;

/// Returns the bytes of a Parquet file: the same frame gives the same bytes.
pub(crate) fn parquet_bytes(file: &Path, frame: &mut DataFrame) -> Result<Vec<u8>, TableError> {
    let mut bytes = Vec::new();
    let writer = ParquetWriter::new(&mut bytes).set_parallel(false);
    let writer = match frame.estimated_size() < SMALL {
        true => writer.with_compression(ParquetCompression::Uncompressed),
        false => writer,
    };
    writer.finish(frame).map_err(|e| unwritable(file, &e))?;
    Ok(bytes)
}

/// Writes a Parquet file.
pub(crate) fn write_parquet(file: &Path, frame: &mut DataFrame) -> Result<(), TableError> {
    let bytes = parquet_bytes(file, frame)?;
    Ok(fs_err::write(file, bytes)?)
}

/// Reads a Parquet file that `pipe` wrote.
pub(crate) fn read_parquet(file: &Path) -> Result<DataFrame, TableError> {
    let bytes = digests::read(file)?;
    measured(file, &bytes, || {
        guarded(|| {
            let frame = ParquetReader::new(std::io::Cursor::new(bytes.as_slice())).finish()?;
            let rows = frame.height();
            even(frame, rows)
        })
    })
}

/// Reads all columns of a Parquet file with this content, unless they take more memory than it may.
pub(crate) fn measured(
    file: &Path,
    bytes: &[u8],
    read: impl FnOnce() -> PolarsResult<DataFrame>,
) -> Result<DataFrame, TableError> {
    let metadata = unpacked::metadata(bytes).map_err(|error| damaged(file, error))?;
    let limit = unpacked::limit(file, bytes)?;
    unpacked::check(&limit, bytes, &metadata, |_| true)?;
    let frame = read().map_err(|error| damaged(file, error))?;
    unpacked::check_texts(&limit, frame.columns().iter().map(Column::as_materialized_series))?;
    Ok(frame)
}

/// Returns a frame whose columns all have so many rows.
pub(super) fn even(frame: DataFrame, rows: usize) -> PolarsResult<DataFrame> {
    match frame.columns().iter().find(|column| column.len() != rows) {
        Some(column) => Err(PolarsError::ShapeMismatch(
            format!("column `{}` has {} of {rows} rows", column.name(), column.len()).into(),
        )),
        None => Ok(frame),
    }
}

/// Builds a frame from columns of equal length.
pub(crate) fn frame(
    file: &Path,
    height: usize,
    columns: Vec<Column>,
) -> Result<DataFrame, TableError> {
    DataFrame::new(height, columns).map_err(|error| unwritable(file, &error))
}

pub(crate) fn unwritable(file: &Path, reason: &PolarsError) -> TableError {
    TableError::Unwritable { file: file.display().to_string(), reason: reason.to_string() }
}

pub(crate) fn damaged(file: &Path, reason: impl ToString) -> TableError {
    TableError::Damaged { file: file.display().to_string(), reason: reason.to_string() }
}

/// The columns of a frame by name, with errors that name the damaged file.
pub(crate) struct Columns<'a> {
    pub file: &'a Path,
    pub frame: &'a DataFrame,
}

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a Column, TableError> {
        self.frame.column(name).map_err(|error| damaged(self.file, error))
    }

    /// Returns a column of strings.
    pub(crate) fn strings(&self, name: &str) -> Result<Vec<Option<String>>, TableError> {
        let column = self.column(name)?.str().map_err(|error| damaged(self.file, error))?;
        Ok((0..column.len()).map(|row| column.get(row).map(str::to_owned)).collect())
    }

    /// Returns a column of strings without gaps.
    pub(crate) fn full_strings(&self, name: &str) -> Result<Vec<String>, TableError> {
        self.full(name, self.strings(name)?)
    }

    /// Returns a column of lists of strings; a gap counts as an empty list.
    pub(crate) fn string_lists(&self, name: &str) -> Result<Vec<Vec<String>>, TableError> {
        let bad = |error: PolarsError| damaged(self.file, error);
        let column = self.column(name)?.list().map_err(bad)?;
        (0..column.len())
            .map(|row| match column.get_as_series(row) {
                None => Ok(Vec::new()),
                Some(list) => {
                    let list = list.str().map_err(bad)?;
                    Ok((0..list.len())
                        .filter_map(|item| list.get(item).map(str::to_owned))
                        .collect())
                }
            })
            .collect()
    }

    /// Returns a column of whole numbers.
    pub(crate) fn integers(&self, name: &str) -> Result<Vec<Option<u64>>, TableError> {
        let column = self.column(name)?.u64().map_err(|error| damaged(self.file, error))?;
        Ok((0..column.len()).map(|row| column.get(row)).collect())
    }

    /// Returns a column of whole numbers without gaps.
    pub(crate) fn full_integers(&self, name: &str) -> Result<Vec<u64>, TableError> {
        self.full(name, self.integers(name)?)
    }

    /// Returns a column of numbers.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, TableError> {
        let column = self.column(name)?.f64().map_err(|error| damaged(self.file, error))?;
        Ok((0..column.len()).map(|row| column.get(row)).collect())
    }

    /// Returns a column of numbers without gaps.
    pub(crate) fn full_numbers(&self, name: &str) -> Result<Vec<f64>, TableError> {
        self.full(name, self.numbers(name)?)
    }

    /// Returns a column of single-precision numbers.
    pub(crate) fn floats(&self, name: &str) -> Result<Vec<Option<f32>>, TableError> {
        let column = self.column(name)?.f32().map_err(|error| damaged(self.file, error))?;
        Ok((0..column.len()).map(|row| column.get(row)).collect())
    }

    /// Returns a column of single-precision numbers without gaps.
    pub(crate) fn full_floats(&self, name: &str) -> Result<Vec<f32>, TableError> {
        self.full(name, self.floats(name)?)
    }

    fn full<T>(&self, name: &str, values: Vec<Option<T>>) -> Result<Vec<T>, TableError> {
        values
            .into_iter()
            .enumerate()
            .map(|(row, value)| {
                value.ok_or_else(|| damaged(self.file, format!("row {} has no `{name}`", row + 1)))
            })
            .collect()
    }
}
