//! A file of text that is read and decoded piece by piece.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use encoding_rs::{Decoder, DecoderResult, UTF_8};

use super::content::{self, NOT_UTF_8};
use super::error::SourceError;
use super::format::Format;
use super::records::line_ends;
use super::settings::Encoding;

/// The bytes of a piece, and those that show an encoding.
const PIECE: usize = 1 << 16;

/// A file of text that is read and decoded piece by piece.
pub(super) struct Pieces {
    file: PathBuf,
    format: Format,
    reader: Box<dyn Read + Send>,
    decoder: Decoder,
    /// Bytes that were read and not decoded yet.
    read: Vec<u8>,
    /// The line that is being decoded, from 1.
    line: usize,
    /// Whether the last sign was a carriage return, whose line a newline may end too.
    is_after_return: bool,
    is_ended: bool,
}

impl Pieces {
    /// Opens a file, whose beginning shows the encoding unless one is named.
    pub(super) fn open(
        file: PathBuf,
        format: Format,
        mut reader: Box<dyn Read + Send>,
        named: Option<Encoding>,
    ) -> Result<Pieces, SourceError> {
        let mut read = vec![0; PIECE];
        // What comes through a pipe comes as it is made: what is there is enough.
        let count = more(&mut *reader, &mut read).map_err(|error| broken(&file, format, &error))?;
        read.truncate(count);
        let (encoding, mark) =
            content::encoding(&read, named).map_err(|(kind, hint)| SourceError::Malformed {
                file: file.display().to_string(),
                format: format.name(),
                reason: format!("it is {kind}"),
                hint: Some(hint.to_owned()),
            })?;
        read.drain(..mark);
        let decoder = encoding.new_decoder_without_bom_handling();
        Ok(Pieces {
            file,
            format,
            reader,
            decoder,
            read,
            line: 1,
            is_after_return: false,
            is_ended: false,
        })
    }

    /// Says whether all was decoded.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Decodes a further piece behind a text.
    pub(super) fn add_to(&mut self, text: &mut String) -> Result<(), SourceError> {
        if self.is_ended {
            return Ok(());
        }
        let mut piece = std::mem::take(&mut self.read);
        if piece.is_empty() {
            piece.resize(PIECE, 0);
            let count = more(&mut *self.reader, &mut piece)
                .map_err(|error| broken(&self.file, self.format, &error))?;
            piece.truncate(count);
        }
        self.is_ended = piece.is_empty();
        let before = text.len();
        let mut rest = piece.as_slice();
        loop {
            let room = self.decoder.max_utf8_buffer_length_without_replacement(rest.len());
            text.reserve(room.unwrap_or(rest.len()).max(16));
            let (result, read) =
                self.decoder.decode_to_string_without_replacement(rest, text, self.is_ended);
            rest = &rest[read..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    return Err(self.not_text(self.line + self.ends(&text[before..])));
                }
            }
        }
        self.line += self.ends(&text[before..]);
        if text.len() > before {
            self.is_after_return = text.ends_with('\r');
        }
        Ok(())
    }

    /// Returns the number of lines that end in a piece.
    fn ends(&self, piece: &str) -> usize {
        line_ends(piece) - usize::from(self.is_after_return && piece.starts_with('\n'))
    }

    fn not_text(&self, line: usize) -> SourceError {
        let encoding = self.decoder.encoding();
        let hint = if encoding == UTF_8 {
            NOT_UTF_8
        } else {
            "name the encoding that the file was written in, or save the file as UTF-8"
        };
        SourceError::Malformed {
            file: self.file.display().to_string(),
            format: self.format.name(),
            reason: format!("line {line} is not {}", encoding.name()),
            hint: Some(hint.to_owned()),
        }
    }
}

/// Reads what is there, at least a byte unless all was read.
fn more(reader: &mut dyn Read, into: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn broken(file: &std::path::Path, format: Format, error: &std::io::Error) -> SourceError {
    SourceError::Malformed {
        file: file.display().to_string(),
        format: format.name(),
        reason: format!("it cannot be read to its end: {error}"),
        hint: Some(
            "a compressed file that is broken or cut off must be fetched or compressed again"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, as a slow pipe may.
    struct Slow(Vec<u8>);

    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() || into.is_empty() {
                return Ok(0);
            }
            into[0] = self.0.remove(0);
            Ok(1)
        }
    }

    fn decoded(bytes: &[u8], named: Option<Encoding>) -> Result<String, SourceError> {
        let reader = Box::new(Slow(bytes.to_vec()));
        let mut pieces = Pieces::open("a.csv".into(), Format::Csv, reader, named)?;
        let mut text = String::new();
        while !pieces.is_ended() {
            pieces.add_to(&mut text)?;
        }
        Ok(text)
    }

    #[test]
    fn letters_are_whole_wherever_pieces_end() -> Result<(), SourceError> {
        assert_eq!(decoded("ab\nçd é€ 退".as_bytes(), None)?, "ab\nçd é€ 退");
        let latin = "windows-1252".parse().ok();
        assert_eq!(decoded(b"caf\xe9", latin)?, "café");
        let message = |bytes: &[u8]| decoded(bytes, None).err().map(|error| error.to_string());
        assert_eq!(
            message(b"a\nb\r\nc\xe9d").as_deref(),
            Some("`a.csv` cannot be read as CSV: line 3 is not UTF-8")
        );
        assert!(message(b"a\xc3").is_some(), "cut off within a letter");
        Ok(())
    }
}
