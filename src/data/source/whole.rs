//! Tables with all of their columns, read part by part: they may be larger than the memory.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::columns;
use super::content;
use super::delimited::{self, Source};
use super::error::SourceError;
use super::format::{self, Format, Packing};
use super::json_lines;
use super::parquet::Groups;
use super::part::{Original, Part};
use super::pieces::Pieces;
use super::records::Records;
use super::remark::Remark;
use super::row::Place;
use super::settings::{Quoting, Reading};
use crate::data::normal;

/// The most bytes of a row: what is longer is a quote that nothing closes.
const LONGEST: usize = 64 << 20;

/// Where a table comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Its ending selects the format.
    File(PathBuf),
    /// What comes through a pipe, in this format.
    Stdin(Form),
}

/// The form of what comes through a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each line is a text.
    Lines,
    Table(Format),
}

/// A row that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub place: Place,
    pub reason: String,
}

/// A table that is read part by part.
pub struct WholeTable {
    rows: Rows,
    /// What should be said about the file.
    pub remarks: Vec<Remark>,
    /// Rows that were left out, as they cannot be read.
    pub unread: Vec<Unread>,
    /// Whether such rows are left out; else they are errors.
    pub leaves_out: bool,
}

enum Rows {
    Text(Lines),
    Parquet(Groups),
}

/// A table of text, of which a part is in memory.
struct Lines {
    file: PathBuf,
    pieces: Pieces,
    kind: Kind,
    /// What was decoded and not read yet from `at` on, which begins with line `line`.
    buffer: String,
    at: usize,
    line: usize,
    /// Rows that were read.
    row: usize,
}

enum Kind {
    Plain,
    Objects {
        text: String,
        /// Whether any object had the text.
        is_found: bool,
        others: Vec<String>,
    },
    Delimited(Delimited),
}

struct Delimited {
    format: Format,
    settings: Separated,
    header: Vec<String>,
    text: Option<usize>,
}

#[derive(Clone, Copy)]
struct Separated {
    separator: super::settings::Separator,
    quoting: Quoting,
    has_quoting: bool,
}

impl WholeTable {
    /// Opens a table. Of the two columns of `reading`, that of the text is looked for, unless it
    /// has no name.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read, has no such column, or can be read in two ways.
    pub fn open(origin: &Origin, reading: &Reading<'_>) -> Result<WholeTable, SourceError> {
        let reading = Reading { label: None, ..*reading };
        let mut remarks = Vec::new();
        let rows = match origin {
            Origin::File(file) => {
                let unknown =
                    |found| SourceError::UnknownFormat { file: file.display().to_string(), found };
                let (format, packing) = format::find(file).map_err(unknown)?;
                if format == Format::Parquet {
                    let groups = Groups::open(file, packing, reading.names()[0], &mut remarks)?;
                    Rows::Parquet(groups)
                } else {
                    let quoting = settled(file, format, packing, &reading)?;
                    let reader = unpacked(file, packing)?;
                    let form = Form::Table(format);
                    let reading = Reading { quoting, ..reading };
                    let lines = Lines::open(file.clone(), form, reader, &reading, &mut remarks)?;
                    Rows::Text(lines)
                }
            }
            Origin::Stdin(Form::Table(Format::Parquet)) => {
                return Err(SourceError::UnknownFormat {
                    file: "-".to_owned(),
                    found: "Parquet, whose end is read first".to_owned(),
                });
            }
            Origin::Stdin(form) => {
                let reader = Box::new(std::io::stdin());
                Rows::Text(Lines::open("-".into(), *form, reader, &reading, &mut remarks)?)
            }
        };
        Ok(WholeTable { rows, remarks, unread: Vec::new(), leaves_out: false })
    }

    /// Returns the names of the columns, where a header tells them.
    pub fn header(&self) -> Option<&[String]> {
        match &self.rows {
            Rows::Text(Lines { kind: Kind::Delimited(own), .. }) => Some(&own.header),
            Rows::Text(_) => None,
            Rows::Parquet(groups) => Some(groups.names()),
        }
    }

    /// Returns how fields are quoted.
    pub fn quoting(&self) -> Quoting {
        match &self.rows {
            Rows::Text(Lines { kind: Kind::Delimited(own), .. }) => own.settings.quoting,
            _ => Quoting::Double,
        }
    }

    /// Returns up to `most` further rows: those that are there, without waiting for more; `None`
    /// after the last.
    ///
    /// # Errors
    ///
    /// Fails for a row that cannot be read, unless such rows are left out.
    pub fn next(&mut self, most: usize) -> Result<Option<Part>, SourceError> {
        match &mut self.rows {
            Rows::Parquet(groups) => groups.next(most),
            Rows::Text(lines) => {
                let unread = self.leaves_out.then_some(&mut self.unread);
                lines.next(most, unread)
            }
        }
    }
}

/// Returns how fields are quoted, where that takes a look at the whole table. Only a table whose
/// quotes could be letters is looked at so.
fn settled(
    file: &Path,
    format: Format,
    packing: Packing,
    reading: &Reading<'_>,
) -> Result<Option<Quoting>, SourceError> {
    if reading.quoting.is_some() || !format.is_delimited() {
        return Ok(reading.quoting);
    }
    let usual = if format == Format::Tsv { Quoting::None } else { Quoting::Double };
    let mut remarks = Vec::new();
    let reader = unpacked(file, packing)?;
    let first = Reading { quoting: Some(usual), ..*reading };
    let doubtful = Lines::open(file.to_owned(), Form::Table(format), reader, &first, &mut remarks)
        .and_then(|mut lines| lines.is_doubtful());
    if matches!(doubtful, Ok(false)) {
        return Ok(Some(usual));
    }
    let bytes = content::bytes(file, packing)?;
    let decoded = content::decode(file, bytes, format, reading.encoding)?;
    delimited::quoting(file, format, &decoded.text, reading).map(Some)
}

/// Opens a file, whose content is unpacked as it is read.
fn unpacked(file: &Path, packing: Packing) -> Result<Box<dyn Read + Send>, SourceError> {
    let stored = BufReader::new(fs_err::File::open(file)?);
    Ok(match packing {
        Packing::None => Box::new(stored),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
    })
}

impl Lines {
    fn open(
        file: PathBuf,
        form: Form,
        reader: Box<dyn Read + Send>,
        reading: &Reading<'_>,
        remarks: &mut Vec<Remark>,
    ) -> Result<Lines, SourceError> {
        let format = match form {
            Form::Lines => Format::Text,
            Form::Table(format) => format,
        };
        let pieces = Pieces::open(file.clone(), format, reader, reading.encoding)?;
        let (buffer, kind) = (String::new(), Kind::Plain);
        let mut lines = Lines { file, pieces, kind, buffer, at: 0, line: 1, row: 0 };
        match form {
            Form::Lines => {}
            Form::Table(Format::JsonLines) => {
                let (text, others) = (reading.text.to_owned(), Vec::new());
                lines.kind = Kind::Objects { text, is_found: false, others };
            }
            Form::Table(format) => lines.read_header(format, reading, remarks)?,
        }
        Ok(lines)
    }

    /// Finds the separator and the column of the text.
    fn read_header(
        &mut self,
        format: Format,
        reading: &Reading<'_>,
        remarks: &mut Vec<Remark>,
    ) -> Result<(), SourceError> {
        let shown = self.file.display().to_string();
        let usual = if format == Format::Tsv { Quoting::None } else { Quoting::Double };
        let quoting = reading.quoting.unwrap_or(usual);
        loop {
            let mut said = Vec::new();
            let source = Source::of(&self.file, format, &self.buffer, reading, &mut said)?;
            let mut records = Records::new(source.text, source.line, source.separator, quoting);
            let is_ended = self.pieces.is_ended();
            match records.next() {
                Some(Ok(record)) if record.is_ended || is_ended => {
                    let header: Vec<String> =
                        record.fields.into_iter().map(std::borrow::Cow::into_owned).collect();
                    let hint = source.hint(&record_names(&header));
                    let names = Reading { label: None, ..*reading }.names();
                    let [place, _] = columns::find(&self.file, &header, names, hint)?;
                    let (rest, line) = records.rest();
                    let settings = Separated {
                        separator: source.separator,
                        quoting,
                        has_quoting: source.has_quoting,
                    };
                    self.at = self.buffer.len() - rest.len();
                    self.line = line;
                    self.kind =
                        Kind::Delimited(Delimited { format, settings, header, text: place });
                    remarks.extend(said);
                    return Ok(());
                }
                Some(Err(fault)) if is_ended || !fault.may_go_on() => {
                    return Err(source.faulty(fault));
                }
                None if is_ended => return Err(SourceError::NoRows { file: shown }),
                _ => {}
            }
            self.check_length()?;
            self.pieces.add_to(&mut self.buffer)?;
        }
    }

    /// Says whether quotes of the table could be read in another way.
    fn is_doubtful(&mut self) -> Result<bool, SourceError> {
        let Kind::Delimited(Delimited { settings, .. }) = &self.kind else { return Ok(false) };
        let quoting = settings.quoting;
        loop {
            let Some(part) = self.next(1000, None)? else { return Ok(false) };
            let Original::Fields(rows) = &part.original else { return Ok(false) };
            let is_doubtful = match quoting {
                Quoting::None => rows.iter().flatten().any(|field| field.starts_with('"')),
                // A row of several lines.
                Quoting::Double => rows.iter().flatten().any(|field| field.contains(['\n', '\r'])),
            };
            if is_doubtful {
                return Ok(true);
            }
        }
    }

    fn check_length(&self) -> Result<(), SourceError> {
        if self.buffer.len() - self.at <= LONGEST {
            return Ok(());
        }
        Err(SourceError::Malformed {
            file: self.file.display().to_string(),
            format: "a table",
            reason: format!("the row of line {} has more than 64 MiB", self.line),
            hint: Some("close the quote that opens a field, or write shorter rows".to_owned()),
        })
    }

    fn next(
        &mut self,
        most: usize,
        mut unread: Option<&mut Vec<Unread>>,
    ) -> Result<Option<Part>, SourceError> {
        let mut part = match self.kind {
            Kind::Objects { .. } => Original::Objects(Vec::new()),
            _ => Original::Fields(Vec::new()),
        };
        let (mut places, mut texts) = (Vec::new(), Vec::new());
        let mut pieces = 1;
        loop {
            while places.len() < most {
                match self.row(&mut part, unread.as_deref_mut())? {
                    Step::Row(place, text) => {
                        places.push(place);
                        texts.push(text.filter(|text| !normal::is_blank(text)));
                    }
                    Step::LeftOut => {}
                    Step::Incomplete => break,
                }
            }
            if !places.is_empty() {
                return Ok(Some(Part { places, texts, original: part }));
            }
            if self.pieces.is_ended() {
                return self.check_found().map(|()| None);
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            self.check_length()?;
            // A long row is not looked at anew for each piece.
            for _ in 0..pieces {
                self.pieces.add_to(&mut self.buffer)?;
            }
            pieces = (2 * pieces).min(256);
        }
    }

    /// A key that is in no row is a wrong name.
    fn check_found(&self) -> Result<(), SourceError> {
        match &self.kind {
            Kind::Objects { text, is_found: false, others } if self.row > 0 && !text.is_empty() => {
                Err(columns::missing(&self.file, others, text, None))
            }
            _ => Ok(()),
        }
    }

    /// Reads a row, if a whole one is there.
    fn row(
        &mut self,
        part: &mut Original,
        unread: Option<&mut Vec<Unread>>,
    ) -> Result<Step, SourceError> {
        match &self.kind {
            Kind::Delimited(_) => self.record(part, unread),
            Kind::Plain | Kind::Objects { .. } => {
                let rest = &self.buffer[self.at..];
                let (end, next) = match rest.find('\n') {
                    Some(end) => (end, end + 1),
                    None if self.pieces.is_ended() && !rest.is_empty() => (rest.len(), rest.len()),
                    None => return Ok(Step::Incomplete),
                };
                let content = rest[..end].strip_suffix('\r').unwrap_or(&rest[..end]).to_owned();
                let line = self.line;
                self.at += next;
                self.line += 1;
                self.line_of(&content, line, part, unread)
            }
        }
    }

    /// Reads a line that is a row.
    fn line_of(
        &mut self,
        content: &str,
        line: usize,
        part: &mut Original,
        unread: Option<&mut Vec<Unread>>,
    ) -> Result<Step, SourceError> {
        let mut place = Place { row: self.row + 1, line: Some(line) };
        let Kind::Objects { text, is_found, others } = &mut self.kind else {
            self.row += 1;
            if let Original::Fields(rows) = part {
                rows.push(vec![content.to_owned()]);
            }
            return Ok(Step::Row(place, Some(content.to_owned())));
        };
        if content.trim().is_empty() {
            return Ok(Step::LeftOut);
        }
        self.row += 1;
        place.row = self.row;
        match json_lines::object(&self.file, (line, place), content, text) {
            Ok((members, found)) => {
                *is_found |= found.is_some();
                for (key, _) in members.iter().filter(|(key, _)| key != text) {
                    if others.len() < 50 && !others.contains(key) {
                        others.push(key.clone());
                    }
                }
                if let Original::Objects(rows) = part {
                    rows.push(members);
                }
                Ok(Step::Row(place, found.flatten()))
            }
            Err(error) => left_out(error, place, unread),
        }
    }

    /// Reads a record.
    fn record(
        &mut self,
        part: &mut Original,
        unread: Option<&mut Vec<Unread>>,
    ) -> Result<Step, SourceError> {
        let Kind::Delimited(own) = &self.kind else { return Ok(Step::Incomplete) };
        let Separated { separator, quoting, has_quoting } = own.settings;
        let is_ended = self.pieces.is_ended();
        let mut records = Records::new(&self.buffer[self.at..], self.line, separator, quoting);
        let outcome = match records.next() {
            None => {
                // Blank lines alone.
                if is_ended {
                    self.at = self.buffer.len();
                }
                return Ok(Step::Incomplete);
            }
            Some(Ok(record)) if !record.is_ended && !is_ended => return Ok(Step::Incomplete),
            Some(Err(fault)) if !is_ended && fault.may_go_on() => return Ok(Step::Incomplete),
            Some(outcome) => outcome.map(|record| {
                let fields: Vec<String> =
                    record.fields.into_iter().map(std::borrow::Cow::into_owned).collect();
                (record.lines[0], fields)
            }),
        };
        let (rest, line) = records.rest();
        let next = self.buffer.len() - rest.len();
        self.row += 1;
        let source = || Source {
            file: &self.file,
            format: own.format,
            names: [None, None],
            text: "",
            line,
            separator,
            has_quoting,
        };
        let place = |line| Place { row: self.row, line: Some(line) };
        match outcome {
            Ok((first, fields)) if fields.len() > own.header.len() => {
                let error = source().too_long(first, fields.len(), own.header.len());
                let place = place(first);
                (self.at, self.line) = (next, line);
                left_out(error, place, unread)
            }
            Ok((first, fields)) => {
                let text = own.text.and_then(|text| fields.get(text).cloned());
                let place = place(first);
                (self.at, self.line) = (next, line);
                if let Original::Fields(rows) = part {
                    rows.push(fields);
                }
                Ok(Step::Row(place, text))
            }
            // Where the row ends is not known.
            Err(fault) => Err(source().faulty(fault)),
        }
    }
}

/// What reading a row has given.
enum Step {
    Row(Place, Option<String>),
    /// A blank line, or a row that cannot be read.
    LeftOut,
    /// More must be decoded first, or nothing is left.
    Incomplete,
}

fn left_out(
    error: SourceError,
    place: Place,
    unread: Option<&mut Vec<Unread>>,
) -> Result<Step, SourceError> {
    let Some(unread) = unread else { return Err(error) };
    unread.push(Unread { place, reason: error.to_string() });
    Ok(Step::LeftOut)
}

fn record_names(header: &[String]) -> Vec<std::borrow::Cow<'_, str>> {
    header.iter().map(|name| std::borrow::Cow::Borrowed(name.as_str())).collect()
}
