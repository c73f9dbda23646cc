//! Reads a table of any format into labelled texts.

use std::path::Path;

use super::error::{self, SourceError};
use super::format::{self, Format};
use super::remark::Remark;
use super::row::{Place, Raw, SourceRow};
use super::settings::{Empty, Reading};
use super::{content, delimited, json_lines, parquet};
use crate::base::label;
use crate::data::normal;

/// A table that was read.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub rows: Vec<SourceRow>,
    /// The number of rows that were left out, as they have no text.
    pub without_text: usize,
    /// What should be said about the file.
    pub remarks: Vec<Remark>,
}

/// Reads a table. The file's ending selects the format. Numbers and booleans in the label column
/// are read as strings in their original spelling. Every row must have a label, where labels
/// are wanted, and, unless such rows are dropped, a text.
pub fn read(file: &Path, reading: &Reading<'_>) -> Result<Table, SourceError> {
    let shown = || file.display().to_string();
    let (format, packing) =
        format::find(file).map_err(|found| SourceError::UnknownFormat { file: shown(), found })?;
    let bytes = content::bytes(file, packing)?;
    let mut remarks = Vec::new();
    let raw = if format == Format::Parquet {
        parquet::rows(file, bytes, reading.names())?
    } else {
        let decoded = content::decode(file, bytes, format, reading.encoding)?;
        if let (true, Some(named)) = (decoded.is_utf8_after_all, reading.encoding) {
            remarks.push(Remark::Warning(format!(
                "`{}` looks like UTF-8, but `encoding` reads it as {}; look at its letters",
                file.display(),
                named.0.name()
            )));
        }
        match format {
            Format::JsonLines => json_lines::rows(file, &decoded.text, reading.names())?,
            _ => delimited::rows(file, format, &decoded.text, reading, &mut remarks)?,
        }
    };
    labelled(file, raw, reading, remarks)
}

/// Checks that every row has what it needs.
fn labelled(
    file: &Path,
    raw: Vec<Raw>,
    reading: &Reading<'_>,
    remarks: Vec<Remark>,
) -> Result<Table, SourceError> {
    let shown = || file.display().to_string();
    if raw.is_empty() {
        return Err(SourceError::NoRows { file: shown() });
    }
    let mut table = Table { rows: Vec::with_capacity(raw.len()), without_text: 0, remarks };
    let (mut no_text, mut no_label) = (Vec::new(), Vec::new());
    for (index, Raw { line, cells: [text, label] }) in raw.into_iter().enumerate() {
        let place = Place { row: index + 1, line };
        let text = text.filter(|text| !normal::is_blank(text));
        let label = match reading.label {
            Some(_) => label.filter(|label| !normal::is_blank(label)),
            None => Some(String::new()),
        };
        match (text, label) {
            (Some(text), Some(label)) => {
                table.rows.push(SourceRow { place, text, label: label::normal(&label) });
            }
            (None, _) => no_text.push(place),
            (Some(_), None) => no_label.push(place),
        }
    }
    if !no_text.is_empty() && reading.empty == Empty::Error {
        let (places, column) = (error::shown(&no_text), reading.text.to_owned());
        return Err(SourceError::EmptyText { file: shown(), places, column });
    }
    if let (Some(column), false) = (reading.label, no_label.is_empty()) {
        let (places, column) = (error::shown(&no_label), column.to_owned());
        return Err(SourceError::EmptyLabel { file: shown(), places, column });
    }
    table.without_text = no_text.len();
    match table.rows.is_empty() {
        true => Err(SourceError::NoTexts { file: shown(), column: reading.text.to_owned() }),
        false => Ok(table),
    }
}
