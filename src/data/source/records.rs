//! The records of CSV and TSV.
//!
//! The crates for CSV read stray quotes in some way and do not tell; here they are faults with
//! their lines, since a text is read as it was meant or not at all.

use std::borrow::Cow;

use super::settings::{Quoting, Separator};

/// A record, which is a line unless newlines stand in its quotes.
pub(super) struct Record<'a> {
    /// Its first and last line in the file, from 1.
    pub(super) lines: [usize; 2],
    pub(super) fields: Vec<Cow<'a, str>>,
    /// Whether the end of its last line was seen; else the text ends here.
    pub(super) is_ended: bool,
}

/// A fault of the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A field goes on behind its closing quote.
    AfterQuote { line: usize },
    /// The quote that opens a field has no other.
    Unclosed { line: usize },
}

impl Fault {
    /// Says whether more text could mend it.
    pub(super) fn may_go_on(self) -> bool {
        matches!(self, Fault::Unclosed { .. })
    }
}

/// The records of a text, without blank lines. Lines end as in Python and pandas: `\n`, `\r\n` or
/// `\r`.
pub(super) struct Records<'a> {
    rest: &'a str,
    line: usize,
    separator: u8,
    quoting: Quoting,
}

impl<'a> Records<'a> {
    /// Reads a text whose first line has this number.
    pub(super) fn new(text: &'a str, line: usize, separator: Separator, quoting: Quoting) -> Self {
        Records { rest: text, line, separator: separator.byte(), quoting }
    }

    /// Returns what was not read yet, and the number of its first line.
    pub(super) fn rest(&self) -> (&'a str, usize) {
        (self.rest, self.line)
    }

    /// Leaves out lines with nothing but whitespace; a line of separators is a record.
    fn skip_blank_lines(&mut self) {
        while !self.rest.is_empty() {
            let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            if !line.trim().is_empty() || line.bytes().any(|byte| byte == self.separator) {
                return;
            }
            self.rest = &self.rest[end..];
            self.end_line();
        }
    }

    /// Steps over the end of a line, if one is next, and says whether it was.
    fn end_line(&mut self) -> bool {
        let rest = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix(['\n', '\r']));
        if let Some(rest) = rest {
            self.rest = rest;
            self.line += 1;
        }
        rest.is_some()
    }

    fn plain_field(&mut self) -> Cow<'a, str> {
        let is_end = |byte: u8| byte == self.separator || byte == b'\n' || byte == b'\r';
        let end = self.rest.bytes().position(is_end).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        Cow::Borrowed(field)
    }

    /// Reads a field from behind its opening quote.
    fn quoted_field(&mut self) -> Result<Cow<'a, str>, Fault> {
        let opened = self.line;
        let mut field = Cow::Borrowed("");
        loop {
            let end = self.rest.find('"').ok_or(Fault::Unclosed { line: opened })?;
            let (part, rest) = (&self.rest[..end], &self.rest[end + 1..]);
            self.line += line_ends(part);
            if field.is_empty() {
                field = Cow::Borrowed(part);
            } else {
                field.to_mut().push_str(part);
            }
            match rest.strip_prefix('"') {
                Some(rest) => {
                    field.to_mut().push('"');
                    self.rest = rest;
                }
                None => {
                    self.rest = rest;
                    break;
                }
            }
        }
        match self.rest.bytes().next() {
            None | Some(b'\n' | b'\r') => Ok(field),
            Some(byte) if byte == self.separator => Ok(field),
            Some(_) => Err(Fault::AfterQuote { line: self.line }),
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blank_lines();
        if self.rest.is_empty() {
            return None;
        }
        let first = self.line;
        let mut fields = Vec::new();
        loop {
            let quoted = self.rest.strip_prefix('"').filter(|_| self.quoting == Quoting::Double);
            let field = match quoted {
                Some(rest) => {
                    self.rest = rest;
                    match self.quoted_field() {
                        Ok(field) => field,
                        Err(fault) => {
                            self.rest = "";
                            return Some(Err(fault));
                        }
                    }
                }
                None => self.plain_field(),
            };
            fields.push(field);
            if self.rest.as_bytes().first() != Some(&self.separator) {
                break;
            }
            self.rest = &self.rest[1..];
        }
        let last = self.line;
        let is_ended = self.end_line();
        Some(Ok(Record { lines: [first, last], fields, is_ended }))
    }
}

/// Returns the lines of a text, which end as those of records do.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    // A lone carriage return ends a line, so a pair ends one and an empty rest of it is none.
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Returns the number of line ends in a text.
pub(super) fn line_ends(text: &str) -> usize {
    let feeds = text.bytes().filter(|&byte| byte == b'\n').count();
    let returns = text.bytes().filter(|&byte| byte == b'\r').count();
    feeds + returns - text.matches("\r\n").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the records as `first-last:field|field`, or the fault.
    fn records(text: &str, quoting: Quoting) -> Result<Vec<String>, Fault> {
        Records::new(text, 1, Separator::COMMA, quoting)
            .map(|record| {
                let Record { lines: [first, last], fields, .. } = record?;
                Ok(format!("{first}-{last}:{}", fields.join("|")))
            })
            .collect()
    }

    #[test]
    fn quotes_enclose_separators_newlines_and_quotes() {
        let text = "a,b\n\"1, \"\"2\"\"\r\n3\",\"\"\r\n\n  \n,\nx\"y\",\"\"\"\"\rlast";
        let expected = ["1-1:a|b", "2-3:1, \"2\"\r\n3|", "6-6:|", "7-7:x\"y\"|\"", "8-8:last"];
        assert_eq!(records(text, Quoting::Double), Ok(expected.map(str::to_owned).to_vec()));
        let expected = [
            "1-1:a|b",
            "2-2:\"1| \"\"2\"\"",
            "3-3:3\"|\"\"",
            "6-6:|",
            "7-7:x\"y\"|\"\"\"\"",
            "8-8:last",
        ];
        assert_eq!(records(text, Quoting::None), Ok(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn stray_quotes_are_faults_with_their_lines() {
        let fault = |text: &str| records(text, Quoting::Double);
        assert_eq!(fault("a\n\"b\nc\"d\n"), Err(Fault::AfterQuote { line: 3 }));
        assert_eq!(fault("a\n\"b\" ,c\n"), Err(Fault::AfterQuote { line: 2 }));
        assert_eq!(fault("a\nb\n\"c,\nd\n\ne"), Err(Fault::Unclosed { line: 3 }));
        assert_eq!(fault("\"\"\""), Err(Fault::Unclosed { line: 1 }));
        assert_eq!(fault(""), Ok(Vec::new()));
        assert_eq!(fault("\"\""), Ok(vec!["1-1:".to_owned()]));
    }
}
