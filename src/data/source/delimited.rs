//! CSV and TSV: which separator, which quoting, and the two columns.

use std::path::Path;

use super::columns;
use super::error::SourceError;
use super::format::Format;
use super::records::{self, Fault, Records};
use super::remark::Remark;
use super::row::Raw;
use super::settings::{Names, Quoting, Reading, Separator};
use crate::base::cut::cut;

/// The separators that are looked for in the header of a CSV file, the first of all first.
const SEPARATORS: [Separator; 4] =
    [Separator::COMMA, Separator::SEMICOLON, Separator::TAB, Separator::BAR];

/// A table of which the separator and the first line are known.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) format: Format,
    pub(super) names: Names<'a>,
    pub(super) text: &'a str,
    /// The number of the first line of `text`.
    pub(super) line: usize,
    pub(super) separator: Separator,
    /// Whether the user names the quoting, so that no message needs to.
    pub(super) has_quoting: bool,
}

/// The rows that one way of quoting gives.
struct Rows {
    rows: Vec<Raw>,
    /// Whether every row has as many fields as the header.
    are_even: bool,
    /// The lines of the first row that is longer than a line.
    merged: Option<[usize; 2]>,
}

/// Reads the two columns of a table.
pub(super) fn rows(
    file: &Path,
    format: Format,
    text: &str,
    reading: &Reading<'_>,
    remarks: &mut Vec<Remark>,
) -> Result<Vec<Raw>, SourceError> {
    Ok(Source::of(file, format, text, reading, remarks)?.settled(reading.quoting, remarks)?.1)
}

/// Returns how the fields of a whole table are quoted.
pub(super) fn quoting(
    file: &Path,
    format: Format,
    text: &str,
    reading: &Reading<'_>,
) -> Result<Quoting, SourceError> {
    let mut remarks = Vec::new();
    let source = Source::of(file, format, text, reading, &mut remarks)?;
    Ok(source.settled(reading.quoting, &mut remarks)?.0)
}

impl<'a> Source<'a> {
    /// Finds the separator of a table by its beginning at least.
    pub(super) fn of(
        file: &'a Path,
        format: Format,
        text: &'a str,
        reading: &Reading<'a>,
        remarks: &mut Vec<Remark>,
    ) -> Result<Source<'a>, SourceError> {
        let (announced, text, line) = match announced(text) {
            Some((separator, rest)) => (Some(separator), rest, 2),
            None => (None, text, 1),
        };
        if let (Some(announced), Some(named)) = (announced, reading.separator)
            && announced != named
        {
            return Err(SourceError::Malformed {
                file: file.display().to_string(),
                format: format.name(),
                reason: format!(
                    "line 1 says `sep={}`, and the key `separator` says `{}`",
                    announced.shown(),
                    named.shown()
                ),
                hint: Some("leave the key out, or correct the line".to_owned()),
            });
        }
        let separator = match announced.or(reading.separator) {
            Some(separator) => separator,
            None if format == Format::Csv => found(text, reading.names()),
            None => Separator::TAB,
        };
        if format == Format::Csv && separator != Separator::COMMA && reading.separator.is_none() {
            remarks.push(Remark::Note(format!(
                "`{}` has `{}` between its fields",
                file.display(),
                separator.shown()
            )));
        }
        let has_quoting = reading.quoting.is_some();
        Ok(Source { file, format, names: reading.names(), text, line, separator, has_quoting })
    }

    /// Reads the rows in the way that is named, or else found.
    fn settled(
        &self,
        named: Option<Quoting>,
        remarks: &mut Vec<Remark>,
    ) -> Result<(Quoting, Vec<Raw>), SourceError> {
        match named {
            Some(quoting) => Ok((quoting, self.read(quoting)?.rows)),
            None if self.format == Format::Tsv => self.read_unquoted_or_not(remarks),
            None => Ok((Quoting::Double, self.read_quoted()?)),
        }
    }
}

/// Returns the separator that the first line announces to Excel (`sep=;`), and the lines after it.
fn announced(text: &str) -> Option<(Separator, &str)> {
    let (first, rest) = text.split_at(text.find(['\n', '\r']).unwrap_or(text.len()));
    let bare = first.strip_prefix('"').and_then(|first| first.strip_suffix('"')).unwrap_or(first);
    let separator = bare.get(..4).filter(|start| start.eq_ignore_ascii_case("sep="))?;
    let separator = bare[separator.len()..].parse().ok()?;
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r']));
    Some((separator, rest.unwrap_or_default()))
}

/// Returns the separator with which the header has all columns, or else the one that it has.
fn found(text: &str, names: Names<'_>) -> Separator {
    let header = |separator: Separator| {
        let mut records = Records::new(text, 1, separator, Quoting::Double);
        records.next().and_then(Result::ok).map(|record| record.fields).unwrap_or_default()
    };
    let has_names = |separator: &&Separator| {
        let fields = header(**separator);
        names.iter().flatten().all(|name| fields.iter().any(|field| field == name))
    };
    let separates = |separator: &&Separator| header(**separator).len() > 1;
    let by_names = SEPARATORS.iter().find(has_names);
    *by_names.or_else(|| SEPARATORS.iter().find(separates)).unwrap_or(&Separator::COMMA)
}

impl Source<'_> {
    /// Reads a format whose fields are quoted. Quotes that only seem to enclose lines, since each
    /// line is a sound row without them, are not decided here; a quote that stands twice shows that
    /// a program wrote them.
    fn read_quoted(&self) -> Result<Vec<Raw>, SourceError> {
        let quoted = self.read(Quoting::Double)?;
        let Some([first, last]) = quoted.merged else { return Ok(quoted.rows) };
        let lines = records::lines(self.text).skip(first.saturating_sub(self.line));
        if lines.take(last + 1 - first).any(|line| line.contains("\"\"")) {
            return Ok(quoted.rows);
        }
        match self.read(Quoting::None) {
            Ok(unquoted) if unquoted.are_even => Err(self.two_readings(format!(
                "by the quotes, lines {first} to {last} are one row; without them, each line is one"
            ))),
            _ => Ok(quoted.rows),
        }
    }

    /// Reads TSV, which has no quotes unless Excel or pandas wrote it. What gives sound rows in one
    /// way only is read in that way. Quotes that join lines, though each is a sound row without
    /// them, are letters.
    fn read_unquoted_or_not(
        &self,
        remarks: &mut Vec<Remark>,
    ) -> Result<(Quoting, Vec<Raw>), SourceError> {
        let unquoted = self.read(Quoting::None);
        let tab = char::from(self.separator.byte());
        let opens = |line: &str| line.split(tab).any(|field| field.starts_with('"'));
        if !self.text.split(['\n', '\r']).any(opens) {
            return Ok((Quoting::None, unquoted?.rows));
        }
        let Ok(quoted) = self.read(Quoting::Double) else {
            return Ok((Quoting::None, unquoted?.rows));
        };
        match unquoted {
            Ok(unquoted) if unquoted.rows == quoted.rows => Ok((Quoting::None, unquoted.rows)),
            Ok(unquoted) if unquoted.are_even && (quoted.merged.is_some() || !quoted.are_even) => {
                Ok((Quoting::None, unquoted.rows))
            }
            Err(error) if !quoted.are_even => Err(error),
            Ok(unquoted) if unquoted.are_even || !quoted.are_even => {
                let mut pairs = unquoted.rows.iter().zip(&quoted.rows);
                let row = pairs.find(|(one, other)| one != other).map(|(row, _)| row);
                let row = row.or(unquoted.rows.last());
                let fields = row.iter().flat_map(|row| row.cells.iter().flatten());
                let field = fields.clone().find(|field| field.starts_with('"'));
                Err(self.two_readings(format!(
                    "the quotes in line {} enclose a field or belong to it: `{}`",
                    row.and_then(|row| row.line).unwrap_or_default(),
                    cut(field.map_or("", String::as_str), 40)
                )))
            }
            _ => {
                remarks.push(Remark::Note(format!(
                    "`{}` has quotes around its fields, as Excel and pandas write them",
                    self.file.display()
                )));
                Ok((Quoting::Double, quoted.rows))
            }
        }
    }

    fn read(&self, quoting: Quoting) -> Result<Rows, SourceError> {
        let mut records = Records::new(self.text, self.line, self.separator, quoting);
        let header = match records.next() {
            None => return Ok(Rows { rows: Vec::new(), are_even: false, merged: None }),
            Some(header) => header.map_err(|fault| self.faulty(fault))?.fields,
        };
        let [text, label] = columns::find(self.file, &header, self.names, self.hint(&header))?;
        let mut found = Rows { rows: Vec::new(), are_even: true, merged: None };
        for record in records {
            let mut record = record.map_err(|fault| self.faulty(fault))?;
            let ([first, last], fields) = (record.lines, record.fields.len());
            if fields > header.len() {
                return Err(self.too_long(first, fields, header.len()));
            }
            if found.merged.is_none() && last > first {
                found.merged = Some([first, last]);
            }
            let mut cell =
                |column: usize| Some(std::mem::take(record.fields.get_mut(column)?).into_owned());
            let cells = [text.and_then(&mut cell), label.and_then(&mut cell)];
            found.are_even &= fields == header.len();
            found.rows.push(Raw { line: Some(first), cells });
        }
        Ok(found)
    }

    /// Says how to go on where the header is one field that another separator would part.
    pub(super) fn hint(&self, header: &[std::borrow::Cow<'_, str>]) -> Option<&'static str> {
        let [one] = header else { return None };
        let other = SEPARATORS
            .iter()
            .find(|other| **other != self.separator && one.contains(char::from(other.byte())))?;
        Some(match *other {
            Separator::COMMA => "set `separator: \",\"`, if a comma stands between the fields",
            Separator::SEMICOLON => "set `separator: ;`, if a semicolon stands between the fields",
            Separator::TAB => "set `separator: tab`, if a tab stands between the fields",
            _ => "set `separator: \"|\"`, if a bar stands between the fields",
        })
    }

    pub(super) fn faulty(&self, fault: Fault) -> SourceError {
        let reason = match fault {
            Fault::AfterQuote { line } => {
                format!("in line {line}, a field goes on behind its closing quote")
            }
            Fault::Unclosed { line } => {
                format!("in line {line}, a quote opens a field and nothing closes it")
            }
        };
        self.malformed(
            reason,
            "a quote within a field in quotes stands twice: `\"a \"\"b\"\" c\"`; `quoting: none` \
             reads quotes as letters",
        )
    }

    pub(super) fn too_long(&self, line: usize, fields: usize, expected: usize) -> SourceError {
        let reason = format!("line {line} has {fields} fields, the header has {expected}");
        self.malformed(
            reason,
            match (self.format, self.has_quoting) {
                (Format::Csv, _) => {
                    "double-quote a field that contains the separator, a quote or a newline"
                }
                (_, false) => {
                    "a tab within a text must be replaced, or the field put in double quotes and \
                     `quoting: double` set"
                }
                (_, true) => "replace the separators that stand within a field",
            },
        )
    }

    pub(super) fn malformed(&self, reason: String, hint: &str) -> SourceError {
        SourceError::Malformed {
            file: self.file.display().to_string(),
            format: self.format.name(),
            reason,
            hint: Some(hint.to_owned()),
        }
    }

    fn two_readings(&self, reason: String) -> SourceError {
        SourceError::TwoReadings { file: self.file.display().to_string(), reason }
    }
}
