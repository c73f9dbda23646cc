//! Parquet: the two columns of a table, whatever the types that other programs give them.
//!
//! Columns are read as they are stored: a decimal is a whole number, half precision two bytes.

use std::path::{Path, PathBuf};

use polars::io::parquet::metadata::FileMetadataRef;
use polars::prelude::*;
use polars_parquet::parquet::metadata::FileMetadata;
use polars_parquet::parquet::schema::Repetition;
use polars_parquet::parquet::schema::types::{
    GroupConvertedType, GroupLogicalType, ParquetType, PhysicalType, PrimitiveConvertedType,
    PrimitiveLogicalType, PrimitiveType,
};

use super::columns;
use super::error::SourceError;
use super::format::Packing;
use super::part::{Original, Part};
use super::remark::Remark;
use super::row::{Place, Raw};
use super::settings::Names;
use crate::data::guard::guarded;
use crate::data::{stored, unpacked};

const EXPECTED: &str = "a string, a number or a boolean";

/// How the stored values of a column become strings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Strings, numbers and booleans.
    Plain,
    /// Bytes, which have to be UTF-8.
    Bytes,
    /// Half-precision numbers, stored as two bytes.
    Half,
    /// Numbers with so many digits after the point, stored without it.
    Decimal { scale: usize },
    /// Lists, which have to hold one value each.
    List(Box<Kind>),
}

/// A value that is none of those that a table may have: its row, from 0, and a description.
struct Wrong {
    row: usize,
    found: String,
    expected: &'static str,
}

/// Reads the two columns of a table.
pub(super) fn rows(file: &Path, bytes: Vec<u8>, names: Names<'_>) -> Result<Vec<Raw>, SourceError> {
    let malformed = |error: PolarsError| broken(file, &error);
    let metadata = unpacked::metadata(&bytes).map_err(malformed)?;
    let fields = metadata.schema().fields();
    let found: Vec<&str> = fields.iter().map(ParquetType::name).collect();
    let places = columns::find(file, &found, names, None)?;
    let limit = unpacked::limit(file, &bytes)?;
    let is_own = LINEAGE.iter().all(|column| found.contains(column));
    unpacked::check(&limit, &bytes, &metadata, |name| {
        names.contains(&Some(name)) || (is_own && name == METHOD)
    })?;
    if is_own {
        let count = generated(&bytes, &metadata);
        if count > 0 {
            return Err(SourceError::Generated { file: file.display().to_string(), count });
        }
    }
    let wrong_type = |column: &str, found: String| SourceError::WrongType {
        file: file.display().to_string(),
        column: column.to_owned(),
        found,
        expected: EXPECTED,
    };
    let kind =
        |column: usize| kind(&fields[column]).map_err(|unknown| wrong_type(found[column], unknown));
    let wrong = |name: &str, wrong: Wrong| SourceError::WrongValue {
        file: file.display().to_string(),
        place: Place { row: wrong.row + 1, line: None },
        column: name.to_owned(),
        found: wrong.found,
        expected: wrong.expected,
    };
    let kinds = [places[0].map(kind).transpose()?, places[1].map(kind).transpose()?];
    if let (Some(Kind::List(_)), Some(name)) = (&kinds[1], names[1]) {
        // A label in a list is one of several labels.
        return Err(wrong_type(name, "list".to_owned()));
    }
    let read = |name: &str, kind: &Kind| {
        let series = self::column(&bytes, &metadata, name).map_err(malformed)?;
        unpacked::check_texts(&limit, [&series])?;
        let values = guarded(|| Ok(strings(&series, kind))).map_err(malformed)?;
        values.map_err(|value| wrong(name, value))
    };
    let mut columns = [Vec::new(), Vec::new()];
    for ((column, name), kind) in columns.iter_mut().zip(names).zip(&kinds) {
        *column = match (name, kind) {
            (Some(name), Some(kind)) => read(name, kind)?,
            _ => vec![None; metadata.num_rows],
        };
    }
    if let (Some(name), Some(place)) = (names[1], places[1])
        && let Some(classes) = class_names(&metadata, name)
        && is_whole(&fields[place])
    {
        named(file, name, &classes, &mut columns[1])?;
    }
    let [texts, labels] = columns;
    Ok(texts.into_iter().zip(labels).map(|(a, b)| Raw { line: None, cells: [a, b] }).collect())
}

/// A file with all columns that become strings, numbers or booleans, read by its row groups.
pub(super) struct Groups {
    file: PathBuf,
    metadata: FileMetadataRef,
    names: Vec<String>,
    kinds: Vec<Kind>,
    /// The place of the text's column among them.
    text: Option<usize>,
    /// The next row group, and its first row.
    group: usize,
    row: usize,
    /// What was read of a group and not given yet, with the texts.
    left: Option<(DataFrame, Vec<Option<String>>)>,
}

impl Groups {
    pub(super) fn open(
        file: &Path,
        packing: Packing,
        text: Option<&str>,
        remarks: &mut Vec<Remark>,
    ) -> Result<Groups, SourceError> {
        let shown = || file.display().to_string();
        if packing != Packing::None {
            return Err(SourceError::Malformed {
                file: shown(),
                format: "Parquet",
                reason: "it is compressed as a whole".to_owned(),
                hint: Some("unpack it: Parquet compresses its columns itself".to_owned()),
            });
        }
        let metadata = unpacked::metadata_of(opened(file)?).map_err(|e| broken(file, &e))?;
        let fields = metadata.schema().fields();
        let found: Vec<&str> = fields.iter().map(ParquetType::name).collect();
        let [place, _] = columns::find(file, &found, [text, None], None)?;
        let mut groups = Groups {
            file: file.to_owned(),
            names: Vec::new(),
            kinds: Vec::new(),
            text: None,
            group: 0,
            row: 0,
            left: None,
            metadata: FileMetadataRef::clone(&metadata),
        };
        let mut left_out = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let is_text = place == Some(index);
            match kind(field) {
                Ok(Kind::List(_)) | Err(_) if !is_text => left_out.push(field.name()),
                Ok(kind) => {
                    if is_text {
                        groups.text = Some(groups.names.len());
                    }
                    groups.names.push(field.name().to_owned());
                    groups.kinds.push(kind);
                }
                Err(found) => {
                    return Err(SourceError::WrongType {
                        file: shown(),
                        column: field.name().to_owned(),
                        found,
                        expected: EXPECTED,
                    });
                }
            }
        }
        if !left_out.is_empty() {
            let names: Vec<String> = left_out.iter().map(|name| format!("`{name}`")).collect();
            remarks.push(Remark::Warning(format!(
                "`{}`: columns that hold no strings, numbers or booleans are left out: {}",
                file.display(),
                names.join(", ")
            )));
        }
        Ok(groups)
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn next(&mut self, most: usize) -> Result<Option<Part>, SourceError> {
        loop {
            if let Some((frame, texts)) = self.left.take() {
                let count = frame.height().min(most.max(1));
                let part = frame.slice(0, count);
                let rest = frame.slice(count as i64, frame.height() - count);
                let mut texts = texts;
                let later = texts.split_off(count);
                if rest.height() > 0 {
                    self.left = Some((rest, later));
                }
                let first = self.row;
                self.row += count;
                let places =
                    (first + 1..=first + count).map(|row| Place { row, line: None }).collect();
                return Ok(Some(Part { places, texts, original: Original::Frame(part) }));
            }
            let Some(group) = self.metadata.row_groups.get(self.group) else { return Ok(None) };
            let rows = group.num_rows();
            self.group += 1;
            if rows > 0 {
                self.left = Some(self.read(self.row, rows)?);
            }
        }
    }

    /// Reads some rows.
    fn read(
        &self,
        first: usize,
        rows: usize,
    ) -> Result<(DataFrame, Vec<Option<String>>), SourceError> {
        let broken = |error: PolarsError| broken(&self.file, &error);
        let mut columns = Vec::new();
        let mut texts = vec![None; rows];
        for (index, (name, kind)) in self.names.iter().zip(&self.kinds).enumerate() {
            let fields = own_fields(&self.metadata, name);
            let only = Some(vec![name.clone()]);
            let file = opened(&self.file)?;
            let frame = stored::part(file, &self.metadata, fields, only, (first, rows));
            let frame = frame.map_err(broken)?;
            let series = frame.column(name).map_err(broken)?.as_materialized_series().clone();
            let is_plain = *kind == Kind::Plain && !series.dtype().is_nested();
            if !is_plain || self.text == Some(index) {
                let strings = guarded(|| Ok(strings(&series, kind))).map_err(broken)?;
                let strings = strings.map_err(|wrong| SourceError::WrongValue {
                    file: self.file.display().to_string(),
                    place: Place { row: first + wrong.row + 1, line: None },
                    column: name.clone(),
                    found: wrong.found,
                    expected: wrong.expected,
                })?;
                if !is_plain {
                    columns.push(Column::new(name.into(), &strings));
                }
                if self.text == Some(index) {
                    texts = strings;
                }
            }
            if is_plain {
                columns.push(series.into());
            }
        }
        Ok((DataFrame::new(rows, columns).map_err(broken)?, texts))
    }
}

/// A file that polars maps into memory.
#[expect(clippy::disallowed_types, reason = "polars maps no other type of a file")]
type Mapped = std::fs::File;

fn opened(file: &Path) -> Result<Mapped, SourceError> {
    Ok(fs_err::File::open(file)?.into_parts().0)
}

fn broken(file: &Path, error: &PolarsError) -> SourceError {
    SourceError::Malformed {
        file: file.display().to_string(),
        format: "Parquet",
        reason: first_line(error),
        hint: Some("write the file again; `pandas.read_parquet` says whether it is sound".into()),
    }
}

/// The columns with which `pipe` records the origin of generated texts in its data sets.
const LINEAGE: [&str; 4] = ["split", "id", "parents", METHOD];
const METHOD: &str = "method";

/// Returns the number of generated texts in a data set that `pipe` wrote. Any split drawn from it
/// could separate generated texts from their originals.
fn generated(bytes: &[u8], metadata: &FileMetadataRef) -> usize {
    // A user's column with that name may contain anything.
    let Ok(series) = column(bytes, metadata, METHOD) else { return 0 };
    series.str().map_or(0, |methods| methods.len() - methods.null_count())
}

/// Reads a column as it is stored.
fn column(bytes: &[u8], metadata: &FileMetadataRef, name: &str) -> PolarsResult<Series> {
    let fields = own_fields(metadata, name);
    let frame = stored::read(bytes, metadata, fields, Some(vec![name.to_owned()]))?;
    Ok(frame.column(name)?.as_materialized_series().clone())
}

/// Returns the fields of a file as they are stored, of which one keeps its name.
fn own_fields(metadata: &FileMetadataRef, name: &str) -> Vec<ParquetType> {
    let fields = metadata.schema().fields().iter().enumerate().map(|(place, field)| {
        let mut field = stored::changed(field, &|primitive| {
            let is_fixed = matches!(primitive.physical_type, PhysicalType::FixedLenByteArray(_));
            is_fixed || stored::is_small(primitive) || decimal_scale(primitive).is_some()
        });
        // Columns that nobody asks for may share a name, which a frame could not.
        if field.name() != name {
            rename(&mut field, format!("{name} {place}"));
        }
        field
    });
    fields.collect()
}

fn rename(field: &mut ParquetType, name: String) {
    let (ParquetType::PrimitiveType(PrimitiveType { field_info, .. })
    | ParquetType::GroupType { field_info, .. }) = field;
    field_info.name = name.into();
}

/// Returns the digits behind the point of a decimal; `None` for other types.
fn decimal_scale(primitive: &PrimitiveType) -> Option<usize> {
    match (primitive.logical_type, primitive.converted_type) {
        (Some(PrimitiveLogicalType::Decimal(_, scale)), _)
        | (None, Some(PrimitiveConvertedType::Decimal(_, scale))) => Some(scale),
        _ => None,
    }
}

/// Returns how a field becomes strings, or the name of a type that does not.
fn kind(field: &ParquetType) -> Result<Kind, String> {
    match field {
        ParquetType::PrimitiveType(primitive) => {
            let kind = primitive_kind(primitive)?;
            match primitive.field_info.repetition {
                Repetition::Repeated => Ok(Kind::List(Box::new(kind))),
                Repetition::Required | Repetition::Optional => Ok(kind),
            }
        }
        ParquetType::GroupType { logical_type, converted_type, fields, .. } => {
            let is_list = *logical_type == Some(GroupLogicalType::List)
                || (logical_type.is_none() && *converted_type == Some(GroupConvertedType::List));
            let is_map = *logical_type == Some(GroupLogicalType::Map) || converted_type.is_some();
            match fields.as_slice() {
                [item] if is_list => list_kind(item),
                _ if is_map => Err("map".to_owned()),
                _ => Err("struct".to_owned()),
            }
        }
    }
}

/// Returns the kind of a list from the repeated field in it, which has its values in a group or is
/// one itself.
fn list_kind(item: &ParquetType) -> Result<Kind, String> {
    let value = match item {
        ParquetType::PrimitiveType(value) => value,
        ParquetType::GroupType { fields, .. } => match fields.as_slice() {
            [ParquetType::PrimitiveType(value)] => value,
            [ParquetType::GroupType { .. }] => return Err("list of lists or structs".to_owned()),
            _ => return Err("list of structs".to_owned()),
        },
    };
    primitive_kind(value).map(|kind| Kind::List(Box::new(kind)))
}

fn primitive_kind(primitive: &PrimitiveType) -> Result<Kind, String> {
    use PrimitiveConvertedType as Converted;
    use PrimitiveLogicalType as Logical;

    let refused = match (primitive.logical_type, primitive.converted_type) {
        (Some(Logical::Date), _) | (None, Some(Converted::Date)) => "date",
        (Some(Logical::Time { .. }), _)
        | (None, Some(Converted::TimeMillis | Converted::TimeMicros)) => "time",
        (Some(Logical::Timestamp { .. }), _)
        | (None, Some(Converted::TimestampMillis | Converted::TimestampMicros)) => "timestamp",
        (Some(Logical::Uuid), _) => "UUID",
        (Some(Logical::Bson), _) | (None, Some(Converted::Bson)) => "BSON",
        (None, Some(Converted::Interval)) => "interval",
        _ if primitive.physical_type == PhysicalType::Int96 => "timestamp",
        _ => "",
    };
    if !refused.is_empty() {
        return Err(refused.to_owned());
    }
    Ok(match (decimal_scale(primitive), primitive.physical_type) {
        (Some(scale), _) => Kind::Decimal { scale },
        (None, PhysicalType::ByteArray) => Kind::Bytes,
        (None, PhysicalType::FixedLenByteArray(2))
            if primitive.logical_type == Some(Logical::Float16) =>
        {
            Kind::Half
        }
        (None, PhysicalType::FixedLenByteArray(_)) => Kind::Bytes,
        (None, _) => Kind::Plain,
    })
}

/// Returns the values of a column as strings.
fn strings(series: &Series, kind: &Kind) -> Result<Vec<Option<String>>, Wrong> {
    match kind {
        Kind::Plain => plain(series),
        Kind::Bytes if *series.dtype() == DataType::String => plain(series),
        Kind::Bytes => bytes_of(series, |bytes| {
            // Numbers of many bytes are stored in this form too.
            match std::str::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
                _ => Err(("bytes that are not UTF-8 text", "UTF-8")),
            }
        }),
        Kind::Half => {
            let number = |bytes: &[u8]| match bytes {
                [a, b] => {
                    let number = half::f16::from_le_bytes([*a, *b]);
                    Ok(if number.is_nan() { String::new() } else { decimal_point(number.to_f32()) })
                }
                _ => Err(("a broken number", EXPECTED)),
            };
            bytes_of(series, number)
        }
        Kind::Decimal { scale } if *series.dtype() == DataType::Binary => {
            bytes_of(series, |bytes| match whole_number(bytes) {
                Some(number) => Ok(with_point(&number.to_string(), *scale)),
                None => Err(("a decimal of more than 38 digits", "a shorter one")),
            })
        }
        Kind::Decimal { scale } => {
            let whole = plain(series)?;
            Ok(whole.into_iter().map(|value| Some(with_point(&value?, *scale))).collect())
        }
        Kind::List(kind) => listed(series, kind),
    }
}

/// Returns the values of a column that polars writes as they are to be read. A number that is none
/// is a missing value.
fn plain(series: &Series) -> Result<Vec<Option<String>>, Wrong> {
    let wrong =
        |error: PolarsError| Wrong { row: 0, found: first_line(&error), expected: EXPECTED };
    let is_float = series.dtype().is_float();
    let strings = series.cast(&DataType::String).map_err(wrong)?;
    let strings = strings.str().map_err(wrong)?;
    let known = |value: &&str| !(is_float && *value == "NaN");
    Ok(strings.iter().map(|value| value.filter(known).map(str::to_owned)).collect())
}

fn bytes_of(
    series: &Series,
    read: impl Fn(&[u8]) -> Result<String, (&'static str, &'static str)>,
) -> Result<Vec<Option<String>>, Wrong> {
    let wrong =
        |error: PolarsError| Wrong { row: 0, found: first_line(&error), expected: EXPECTED };
    let all = series.binary().map_err(wrong)?;
    all.iter()
        .enumerate()
        .map(|(row, value)| {
            let wrong =
                |(found, expected): (&str, _)| Wrong { row, found: found.to_owned(), expected };
            value.map(|bytes| read(bytes).map_err(wrong)).transpose()
        })
        .collect()
}

/// Returns the one value of each list; a list of none is a missing value.
fn listed(series: &Series, kind: &Kind) -> Result<Vec<Option<String>>, Wrong> {
    let wrong = |row: usize, found: String| Wrong { row, found, expected: "one value" };
    let lists = series.list().map_err(|error| wrong(0, first_line(&error)))?;
    (0..lists.len())
        .map(|row| match lists.get_as_series(row) {
            None => Ok(None),
            Some(list) if list.len() > 1 => {
                Err(wrong(row, format!("a list of {} values", list.len())))
            }
            Some(list) => {
                let values = strings(&list, kind).map_err(|value| Wrong { row, ..value })?;
                Ok(values.into_iter().next().flatten())
            }
        })
        .collect()
}

/// Returns a number as polars writes numbers of more bits.
fn decimal_point(number: f32) -> String {
    format!("{number:?}")
}

/// Returns a big-endian number of two's complement; `None` where it has more than 128 bits.
fn whole_number(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let start = bytes.len().saturating_sub(16);
    let (extra, last) = bytes.split_at(start);
    let mut full = [sign; 16];
    full[16 - last.len()..].copy_from_slice(last);
    let number = i128::from_be_bytes(full);
    let is_sound = extra.iter().all(|byte| *byte == sign) && (number < 0) == (sign != 0);
    is_sound.then_some(number)
}

/// Sets the point into a whole number, before its last digits.
fn with_point(whole: &str, scale: usize) -> String {
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole),
    };
    if scale == 0 {
        return whole.to_owned();
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (before, after) = digits.split_at(digits.len() - scale);
    format!("{sign}{before}.{after}")
}

/// Says whether a column holds whole numbers.
fn is_whole(field: &ParquetType) -> bool {
    match field {
        ParquetType::PrimitiveType(primitive) => {
            matches!(primitive.physical_type, PhysicalType::Int32 | PhysicalType::Int64)
                && decimal_scale(primitive).is_none()
        }
        ParquetType::GroupType { .. } => false,
    }
}

/// Returns the class names that `datasets` writes into a file: in the metadata under `huggingface`,
/// as `info.features.COLUMN` of the type `ClassLabel`.
fn class_names(metadata: &FileMetadata, column: &str) -> Option<Vec<String>> {
    let pairs = metadata.key_value_metadata().as_ref()?;
    let written = pairs.iter().find(|pair| pair.key == "huggingface")?.value.as_deref()?;
    let written: serde_json::Value = serde_json::from_str(written).ok()?;
    let feature = written.get("info")?.get("features")?.get(column)?;
    if feature.get("_type")?.as_str()? != "ClassLabel" {
        return None;
    }
    let names = feature.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Replaces the numbers of classes by their names.
fn named(
    file: &Path,
    column: &str,
    classes: &[String],
    values: &mut [Option<String>],
) -> Result<(), SourceError> {
    for (row, value) in values.iter_mut().enumerate() {
        let Some(number) = value else { continue };
        let class = number.parse::<usize>().ok().and_then(|number| classes.get(number));
        match class {
            Some(class) => *value = Some(class.clone()),
            None => {
                return Err(SourceError::NoClass {
                    file: file.display().to_string(),
                    place: Place { row: row + 1, line: None },
                    column: column.to_owned(),
                    number: number.clone(),
                    last: classes.len().saturating_sub(1),
                });
            }
        }
    }
    Ok(())
}

/// Below the first line, polars adds advice about its own options, which does not apply here.
fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_get_their_point_back() {
        for (whole, scale, expected) in
            [("150", 2, "1.50"), ("-5", 2, "-0.05"), ("7", 0, "7"), ("0", 1, "0.0")]
        {
            assert_eq!(with_point(whole, scale), expected);
        }
        assert_eq!(whole_number(&[0xff, 0x6a]), Some(-150));
        assert_eq!(whole_number(&[0, 0x96]), Some(150));
        assert_eq!(whole_number(&[0xff; 32]), Some(-1));
        let mut wide = [0; 17];
        wide[0] = 1;
        assert_eq!(whole_number(&wide), None);
        assert_eq!(whole_number(&[0x80; 17]), None);
        assert_eq!(whole_number(&[]), None);
    }
}
