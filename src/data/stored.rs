//! Parquet files of other programs, read as they are stored.
//!
//! Programs add types to what they store: a category of pandas is text with a type of Arrow beside
//! it, an 8-bit number is a 32-bit one with a mark. polars can be built with features for them,
//! which cost each cold build time. Instead the types are left out before the columns are read.

use std::io::Cursor;
use std::sync::Arc;

use polars::io::mmap::MmapBytesReader;
use polars::io::parquet::metadata::FileMetadataRef;
use polars::prelude::*;
use polars_parquet::parquet::metadata::{FileMetadata, SchemaDescriptor};
use polars_parquet::parquet::schema::types::{
    IntegerType, ParquetType, PhysicalType, PrimitiveConvertedType, PrimitiveLogicalType,
    PrimitiveType,
};

use super::frame::even;
use super::guard::guarded;
use super::unpacked;

/// Reads a file whose fields have these types instead of its own, all columns or only the named
/// ones. Types that Arrow adds are left out.
pub(crate) fn read(
    bytes: &[u8],
    metadata: &FileMetadataRef,
    fields: Vec<ParquetType>,
    columns: Option<Vec<String>>,
) -> PolarsResult<DataFrame> {
    part(Cursor::new(bytes), metadata, fields, columns, (0, metadata.num_rows))
}

/// Reads so many rows from the first on.
pub(crate) fn part<R: MmapBytesReader>(
    file: R,
    metadata: &FileMetadataRef,
    fields: Vec<ParquetType>,
    columns: Option<Vec<String>>,
    (first, rows): (usize, usize),
) -> PolarsResult<DataFrame> {
    guarded(|| {
        let metadata = FileMetadata {
            key_value_metadata: None,
            schema_descr: SchemaDescriptor::new(metadata.schema().name().into(), fields),
            ..FileMetadata::clone(metadata)
        };
        let mut reader = ParquetReader::new(file);
        reader.set_metadata(Arc::new(metadata));
        even(reader.with_columns(columns).with_slice(Some((first, rows))).finish()?, rows)
    })
}

/// Reads all columns of a file, small whole numbers as larger ones and categories as text.
pub(crate) fn frame(bytes: &[u8]) -> PolarsResult<DataFrame> {
    let metadata = unpacked::metadata(bytes)?;
    let fields = metadata.schema().fields().iter();
    let fields = fields.map(|field| changed(field, &|primitive| is_small(primitive))).collect();
    read(bytes, &metadata, fields, None)
}

/// Returns a field without the types of those of its columns that are chosen.
pub(crate) fn changed(
    field: &ParquetType,
    is_bare: &dyn Fn(&PrimitiveType) -> bool,
) -> ParquetType {
    let mut field = field.clone();
    match &mut field {
        ParquetType::PrimitiveType(primitive) => {
            if is_bare(primitive) {
                (primitive.logical_type, primitive.converted_type) = (None, None);
            }
        }
        ParquetType::GroupType { fields, .. } => {
            for field in fields {
                *field = changed(field, is_bare);
            }
        }
    }
    field
}

/// Says whether a column holds whole numbers of 8 or 16 bits, stored in 32.
pub(crate) fn is_small(primitive: &PrimitiveType) -> bool {
    use IntegerType::{Int8, Int16, UInt8, UInt16};
    use PrimitiveConvertedType as Converted;

    let by_type = match primitive.logical_type {
        Some(PrimitiveLogicalType::Integer(bits)) => matches!(bits, Int8 | Int16 | UInt8 | UInt16),
        _ => false,
    };
    let by_older_type = matches!(
        primitive.converted_type,
        Some(Converted::Int8 | Converted::Int16 | Converted::Uint8 | Converted::Uint16)
    );
    primitive.physical_type == PhysicalType::Int32 && (by_type || by_older_type)
}
