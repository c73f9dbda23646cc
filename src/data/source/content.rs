//! The content of a file: unpacked, and decoded into text.

use std::io::{ErrorKind, Read};
use std::path::Path;

use encoding_rs::{DecoderResult, UTF_8, UTF_16BE, UTF_16LE};

use super::error::SourceError;
use super::format::{Format, Packing};
use super::settings::Encoding;
use crate::base::limit::{Limit, TABLE};

/// Reads a file and unpacks it.
pub(super) fn bytes(file: &Path, packing: Packing) -> Result<Vec<u8>, SourceError> {
    let stored = fs_err::read(file)?;
    let limit = Limit::of(file, stored.len() as u64, TABLE)?;
    // One more shows that there is more.
    let most = limit.most().saturating_add(1);
    let mut bytes = Vec::new();
    let (outcome, format) = match packing {
        Packing::None => return Ok(stored),
        Packing::Gzip => {
            let unpacked = flate2::read::MultiGzDecoder::new(stored.as_slice());
            (unpacked.take(most).read_to_end(&mut bytes), "gzip")
        }
        Packing::Zstd => {
            let unpacked = zstd::stream::read::Decoder::new(stored.as_slice());
            let read = |unpacked: zstd::stream::read::Decoder<'_, _>| {
                unpacked.take(most).read_to_end(&mut bytes)
            };
            (unpacked.and_then(read), "Zstandard")
        }
    };
    let malformed = |reason: String, hint: &str| SourceError::Malformed {
        file: file.display().to_string(),
        format,
        reason,
        hint: Some(hint.to_owned()),
    };
    match outcome {
        Ok(_) => {
            limit.check(bytes.len() as u64)?;
            Ok(bytes)
        }
        Err(error) if error.kind() == ErrorKind::OutOfMemory => Err(malformed(
            format!("unpacked it takes more than the {} bytes that were free", bytes.len()),
            "take a part of the table",
        )),
        Err(error) => Err(malformed(
            format!("its compressed content is broken or cut off: {error}"),
            "fetch or compress the file again; a file that is not compressed needs no such ending",
        )),
    }
}

/// What to do about a file that is not UTF-8.
pub(super) const NOT_UTF_8: &str = "name the file's encoding, such as `encoding: windows-1252` for \
                                    Excel in western Europe, or save the file as UTF-8";

/// Returns the encoding that the beginning of a file shows, and the length of its mark; what the
/// file is and a way out, where it is no text.
pub(super) fn encoding(
    bytes: &[u8],
    named: Option<Encoding>,
) -> Result<(&'static encoding_rs::Encoding, usize), (&'static str, &'static str)> {
    if let Some(other) = other_kind(bytes) {
        return Err(other);
    }
    Ok(match (encoding_rs::Encoding::for_bom(bytes), named) {
        (Some(found), _) => found,
        (None, Some(named)) => (named.0, 0),
        (None, None) => (utf16_without_mark(bytes).unwrap_or(UTF_8), 0),
    })
}

/// A decoded file.
pub(super) struct Decoded {
    pub(super) text: String,
    /// Whether the file is sound UTF-8 with letters beyond ASCII, though another encoding is named.
    pub(super) is_utf8_after_all: bool,
}

/// Decodes a file of text. A byte order mark decides first, then the encoding that the user names,
/// else it is UTF-8, or UTF-16 where zero bytes between the letters show it.
pub(super) fn decode(
    file: &Path,
    bytes: Vec<u8>,
    format: Format,
    named: Option<Encoding>,
) -> Result<Decoded, SourceError> {
    let malformed = |reason: String, hint: &str| SourceError::Malformed {
        file: file.display().to_string(),
        format: format.name(),
        reason,
        hint: Some(hint.to_owned()),
    };
    let (encoding, mark) =
        encoding(&bytes, named).map_err(|(kind, hint)| malformed(format!("it is {kind}"), hint))?;
    // UTF-16 of plain letters is sound UTF-8 too, with zero bytes.
    let is_utf8_after_all = mark == 0
        && ![UTF_8, UTF_16LE, UTF_16BE].contains(&encoding)
        && !bytes.is_ascii()
        && std::str::from_utf8(&bytes).is_ok();
    let text = if encoding == UTF_8 {
        let mut bytes = bytes;
        bytes.drain(..mark);
        String::from_utf8(bytes).map_err(|error| {
            let line = line_after(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            malformed(format!("line {line} is not UTF-8"), NOT_UTF_8)
        })?
    } else {
        decoded(encoding, &bytes[mark..]).map_err(|line| {
            malformed(
                format!("line {line} is not {}", encoding.name()),
                "set the key `encoding` to the encoding that the file was written in, or save the \
                 file as UTF-8",
            )
        })?
    };
    // What several programs marked one after the other has several marks.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.trim_start_matches('\u{feff}').to_owned(),
        None => text,
    };
    Ok(Decoded { text, is_utf8_after_all })
}

/// Decodes all bytes, or returns the line of the first that cannot be.
fn decoded(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> Result<String, usize> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::new();
    let mut rest = bytes;
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(rest.len());
        text.reserve(room.unwrap_or(rest.len()).max(16));
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, true);
        rest = &rest[read..];
        match result {
            DecoderResult::InputEmpty => return Ok(text),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return Err(line_after(text.as_bytes())),
        }
    }
}

/// Returns the line that follows these bytes, from 1.
fn line_after(bytes: &[u8]) -> usize {
    let ends = |(place, byte): &(usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(place + 1) != Some(&b'\n'),
        _ => false,
    };
    bytes.iter().enumerate().filter(ends).count() + 1
}

/// Says what a file is that is no text, whatever its ending.
fn other_kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const PACKED: &str = "let its name end in `.gz` or `.zst`, as in `texts.csv.gz`";
    const WORKBOOK: &str = "open it in its program and save the sheet as \"CSV UTF-8\"";
    const WIDE: &str = "save it as UTF-8; `iconv -f UTF-32 -t UTF-8` converts it";
    let kinds: [(&[u8], &str, &str); 7] = [
        (b"\x1f\x8b", "compressed with gzip", PACKED),
        (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", PACKED),
        (b"PK\x03\x04", "a ZIP archive, such as a workbook of Excel", WORKBOOK),
        (b"\xd0\xcf\x11\xe0", "a workbook of an older Excel", WORKBOOK),
        (b"PAR1", "a Parquet file", "let its name end in `.parquet`"),
        (b"\xff\xfe\0\0", "UTF-32", WIDE),
        (b"\0\0\xfe\xff", "UTF-32", WIDE),
    ];
    let found = kinds.into_iter().find(|(start, _, _)| bytes.starts_with(start));
    found.map(|(_, kind, hint)| (kind, hint))
}

/// Returns the UTF-16 of a file without a byte order mark. Its first character is of ASCII, and at
/// its beginning many bytes are zero, nearly all of them in the same half of their characters.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let units = bytes.get(..bytes.len().min(4096))?.as_chunks::<2>().0;
    let zeros = |place: usize| units.iter().filter(|unit| unit[place] == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let many = (units.len() / 10).max(2);
    match units.first()? {
        [0, letter] if *letter != 0 && first >= many.max(10 * second) => Some(UTF_16BE),
        [letter, 0] if *letter != 0 && second >= many.max(10 * first) => Some(UTF_16LE),
        _ => None,
    }
}
