//! The memory that a Parquet file takes once it is read, estimated before that.
//!
//! A run of equal values takes a few bytes in the file, however long it is. So the number of values
//! counts, which the footer and the headers of the pages give, and not the size of the file.

use std::io::Cursor;
use std::path::Path;

use polars::io::mmap::MmapBytesReader;
use polars::io::parquet::metadata::FileMetadataRef;
use polars::prelude::*;
use polars_parquet::parquet::metadata::ColumnChunkMetadata;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::parquet::read::PageReader;
use polars_parquet::parquet::schema::types::PhysicalType;

use super::guard::guarded;
use crate::base::limit::{Limit, LimitError, TABLE};

/// The bytes of a value in a column and in the rows that are made of it.
const NUMBER: u64 = 8 + 16;
/// The same of a text without its letters: a view of it, and a string of its own.
const TEXT: u64 = 16 + 40;

/// Returns what a file says about itself.
pub(crate) fn metadata(bytes: &[u8]) -> PolarsResult<FileMetadataRef> {
    guarded(|| ParquetReader::new(Cursor::new(bytes)).get_metadata().cloned())
}

/// Returns what a file says about itself, of which the end alone is read.
pub(crate) fn metadata_of(file: impl MmapBytesReader) -> PolarsResult<FileMetadataRef> {
    guarded(|| ParquetReader::new(file).get_metadata().cloned())
}

/// Returns the limit of a file that has this content, compressed once more or not.
pub(crate) fn limit(file: &Path, bytes: &[u8]) -> Result<Limit, LimitError> {
    let bytes = bytes.len() as u64;
    let stored = fs_err::metadata(file).map_or(bytes, |data| data.len().min(bytes));
    Limit::of(file, stored, TABLE)
}

/// Checks the columns that are wanted, by the names of their fields, before they are read.
pub(crate) fn check(
    limit: &Limit,
    bytes: &[u8],
    metadata: &FileMetadataRef,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), LimitError> {
    let mut total: u64 = 0;
    for group in &metadata.row_groups {
        for column in group.parquet_columns() {
            let name = column.descriptor().path_in_schema.first();
            if !name.is_some_and(|name| wanted(name)) {
                continue;
            }
            // What cannot be measured cannot be read either, which the reader tells.
            let size = guarded(|| Ok(size(bytes, column, group.num_rows() as u64)));
            total = total.saturating_add(size.unwrap_or(0));
        }
    }
    limit.check(total)
}

/// Checks the texts of columns that were read. Many rows may share one text there, and each gets a
/// copy when it becomes a string.
pub(crate) fn check_texts<'a>(
    limit: &Limit,
    columns: impl IntoIterator<Item = &'a Series>,
) -> Result<(), LimitError> {
    let sizes = columns.into_iter().map(letters);
    limit.check(sizes.fold(0, u64::saturating_add))
}

/// Returns the bytes of all texts of a column.
fn letters(column: &Series) -> u64 {
    match column.dtype() {
        DataType::String => column
            .str()
            .map_or(0, |texts| texts.iter().flatten().map(|text| text.len() as u64).sum()),
        DataType::Binary => column
            .binary()
            .map_or(0, |texts| texts.iter().flatten().map(|text| text.len() as u64).sum()),
        DataType::List(_) => column.list().map_or(0, |lists| letters(&lists.get_inner())),
        _ => 0,
    }
}

/// Returns the bytes that a part of a column takes: the pages as they are unpacked, and the values
/// in them. The footer is not trusted to tell them alone.
fn size(bytes: &[u8], column: &ColumnChunkMetadata, rows: u64) -> u64 {
    let (mut unpacked, mut values) = (0_u64, 0_u64);
    let range = column.byte_range();
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let chunk = bytes.get(place(range.start)..place(range.end)).unwrap_or_default();
    let mut dictionary = Some(first_page(chunk));
    let pages = PageReader::new(Cursor::new(chunk.to_vec().into()), column, Vec::new(), usize::MAX);
    for page in pages {
        match page {
            Ok(CompressedPage::Data(page)) => {
                unpacked = unpacked.saturating_add(page.uncompressed_size() as u64);
                values = values.saturating_add(page.num_values() as u64);
            }
            Ok(CompressedPage::Dict(_)) => {
                let size = dictionary.take().flatten().unwrap_or(i32::MAX as u64);
                unpacked = unpacked.saturating_add(size);
            }
            Err(_) => break,
        }
    }
    let values = values.max(rows).max(column.num_values().max(0) as u64);
    let width = match column.physical_type() {
        PhysicalType::ByteArray => TEXT,
        PhysicalType::FixedLenByteArray(width) => TEXT + width as u64,
        _ => NUMBER,
    };
    unpacked.saturating_add(values.saturating_mul(width))
}

/// Returns the unpacked size of a part's first page, the second number of its header, where the
/// header is written as all programs write it: in the compact form of Thrift, field by field.
fn first_page(chunk: &[u8]) -> Option<u64> {
    /// Reads the next field, a whole number.
    fn field(bytes: &mut &[u8]) -> Option<i64> {
        // The number of the field is one higher than before; its type is a number of 32 bits.
        let [0x15, rest @ ..] = *bytes else { return None };
        let (mut number, mut read) = (0_u64, 0);
        for byte in rest.iter().take(5) {
            number |= u64::from(byte & 0x7f) << (7 * read);
            read += 1;
            if byte & 0x80 == 0 {
                *bytes = &rest[read..];
                return Some((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        None
    }
    let mut rest = chunk;
    field(&mut rest)?;
    field(&mut rest)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stored;

    fn written(frame: &mut DataFrame) -> PolarsResult<Vec<u8>> {
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes)
            .with_compression(ParquetCompression::Zstd(None))
            .finish(frame)?;
        Ok(bytes)
    }

    fn limit_of(most: u64) -> Result<Limit, LimitError> {
        Limit::of(Path::new("x.parquet"), 0, most)
    }

    #[test]
    fn long_runs_of_equal_values_count_one_by_one() -> Result<(), Box<dyn std::error::Error>> {
        const ROWS: usize = 100_000;
        let texts = Column::new("text".into(), vec!["a text like all others"; ROWS]);
        let numbers = Column::new("n".into(), vec![7_i64; ROWS]);
        let bytes = written(&mut DataFrame::new(ROWS, vec![texts, numbers])?)?;
        assert!(bytes.len() < ROWS / 10, "{}", bytes.len());
        let metadata = super::metadata(&bytes)?;
        let taken = |wanted: &dyn Fn(&str) -> bool| -> Result<u64, LimitError> {
            match check(&limit_of(0)?, &bytes, &metadata, wanted) {
                Err(LimitError::Unpacked { bytes, .. }) => Ok(bytes),
                other => other.map(|()| 0),
            }
        };
        assert_eq!(taken(&|_| false)?, 0);
        assert!(taken(&|name| name == "text")? >= TEXT * ROWS as u64);
        assert!((NUMBER * ROWS as u64..TEXT * ROWS as u64).contains(&taken(&|name| name == "n")?));
        check(&limit_of(100 * ROWS as u64)?, &bytes, &metadata, |_| true)?;

        let frame = stored::frame(&bytes)?;
        let series: Vec<&Series> =
            frame.columns().iter().map(Column::as_materialized_series).collect();
        let letters = 22 * ROWS as u64;
        check_texts(&limit_of(letters)?, series.iter().copied())?;
        assert!(check_texts(&limit_of(letters - 1)?, series).is_err());
        Ok(())
    }

    #[test]
    fn headers_tell_what_a_page_unpacks_to() {
        assert_eq!(first_page(&[0x15, 0x04, 0x15, 0x80, 0x01, 0x15, 0x02]), Some(64));
        let largest = [0x15, 0x04, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(first_page(&largest), Some(i32::MAX as u64));
        for broken in [&[][..], &[0x15], &[0x15, 0x04, 0x25, 0x02], &[0x15, 0x04, 0x15, 0x81]] {
            assert_eq!(first_page(broken), None);
        }
        assert_eq!(first_page(&[0x15, 0x04, 0x15, 0x01]), None, "a negative size");
    }
}
