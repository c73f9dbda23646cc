//! Synonyms from an OpenOffice or LibreOffice thesaurus (MyThes `.dat` files).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use encoding_rs::Encoding;

use super::thesaurus::Thesaurus;
use crate::stages::augment::error::{AugmentError, file_digest, read_bytes};
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::External;

const WHAT: &str = "thesaurus";
const HELP: &str = "expected the `.dat` file of a MyThes thesaurus, version 2, not its `.idx`";

/// Notes after a term that mark it as something other than a synonym.
const OTHERS: [&str; 3] = ["generic term", "related term", "antonym"];

/// Digests the file.
pub(super) fn externals(folder: &Path, name: &str) -> Result<Vec<External>, StageError> {
    Ok(vec![file_digest(folder, name, WHAT)?])
}

/// Returns the terms of all meanings of the words, without generic terms, related terms and
/// antonyms.
pub(super) fn thesaurus(
    folder: &Path,
    name: &str,
    words: &BTreeSet<String>,
) -> Result<Thesaurus, AugmentError> {
    let bytes = read_bytes(folder, name, WHAT)?;
    let malformed = |line: usize, found: &str, expected: &'static str| {
        let shown: String = found.chars().take(60).collect();
        AugmentError::Malformed {
            path: name.to_owned(),
            line,
            found: format!("found `{shown}`"),
            expected,
            help: HELP,
        }
    };
    // Some editors write a byte order mark before UTF-8.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let label = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let label = String::from_utf8_lossy(label).trim().to_owned();
    let Some(encoding) = named(&label) else {
        return Err(malformed(1, &label, "the name of the encoding, such as `UTF-8`"));
    };
    let (text, _, broken) = encoding.decode(bytes);
    if broken {
        let line =
            text.lines().position(|line| line.contains(char::REPLACEMENT_CHARACTER)).unwrap_or(0)
                + 1;
        return Err(AugmentError::Encoding {
            what: WHAT,
            path: name.to_owned(),
            encoding: label,
            line,
        });
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    while let Some((row, line)) = lines.next() {
        let expected = "a word and the number of its meanings, as in `card|13`";
        let entry = line
            .rsplit_once('|')
            .and_then(|(word, count)| Some((word, count.trim().parse::<usize>().ok()?)));
        let Some((word, meanings)) = entry else { return Err(malformed(row + 1, line, expected)) };
        let word = word.to_lowercase();
        let asked = words.contains(&word);
        for _ in 0..meanings {
            let expected = "a meaning: its part of speech and its terms, separated by `|`";
            let Some((row, line)) = lines.next() else {
                return Err(malformed(row + 1, line, "as many meanings as the entry declares"));
            };
            let Some((_, terms)) = line.split_once('|') else {
                return Err(malformed(row + 1, line, expected));
            };
            if !asked {
                continue;
            }
            let synonyms = found.entry(word.clone()).or_default();
            for term in terms.split('|').filter_map(synonym) {
                if term.to_lowercase() != word && !synonyms.contains(&term) {
                    synonyms.push(term);
                }
            }
        }
    }
    Ok(Thesaurus::from(found))
}

/// Returns an encoding by its name in dictionaries: `ISO8859-1` as well as `ISO-8859-1`.
fn named(label: &str) -> Option<&'static Encoding> {
    let with_dash = label.to_ascii_uppercase().replacen("ISO8859", "ISO-8859", 1);
    Encoding::for_label(label.as_bytes()).or_else(|| Encoding::for_label(with_dash.as_bytes()))
}

/// Returns a term without the notes in brackets after it, or `None` if a note excludes it as a
/// synonym.
fn synonym(term: &str) -> Option<String> {
    if OTHERS.iter().any(|note| term.contains(&format!("({note})"))) {
        return None;
    }
    let bare = term.split(" (").next().unwrap_or(term).trim();
    (!bare.is_empty()).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], words: &[&str]) -> Result<Thesaurus, AugmentError> {
        let folder = tempfile::tempdir()?;
        fs_err::write(folder.path().join("th.dat"), content)?;
        thesaurus(folder.path(), "th.dat", &words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn terms_of_all_meanings_are_synonyms_unless_a_note_says_otherwise() -> Result<(), AugmentError>
    {
        let text = "UTF-8\nquick|2\n(adj)|fast|Quick|speedy (similar term)|slow (antonym)|rate \
                    (generic term)\n(adv)|fast|at once (ugs.)\nslow|1\n-|lazy\n";
        let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        assert_eq!(read(&marked, &["slow"])?.synonyms("slow"), ["lazy"]);
        let found = read(text.as_bytes(), &["quick", "unknown"])?;
        assert_eq!(found.synonyms("quick"), ["fast", "speedy", "at once"]);
        assert_eq!(found.len(), 1);
        Ok(())
    }

    #[test]
    fn old_encodings_are_read() -> Result<(), AugmentError> {
        let found = read(b"ISO8859-1\r\ngro\xdf|1\r\n-|m\xe4chtig\r\n", &["groß"])?;
        assert_eq!(found.synonyms("groß"), ["mächtig"]);
        Ok(())
    }

    #[test]
    fn damage_is_named_by_its_line() {
        let message = |text: &[u8]| {
            read(text, &["a"]).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(message(b"").contains("line 1: found ``; expected the name of the encoding"));
        assert!(message(b"EBCDIC-X\na|1\n").contains("line 1: found `EBCDIC-X`"));
        assert!(message(b"UTF-8\nb|0\na\n").contains("line 3: found `a`; expected a word and"));
        assert!(message(b"UTF-8\na|x\n").contains("line 2"));
        assert!(
            message(b"UTF-8\na|2\n-|b\n")
                .contains("line 2: found `a|2`; expected as many meanings")
        );
        assert!(message(b"UTF-8\na|1\nb\n").contains("line 3: found `b`; expected a meaning"));
        assert!(message(b"UTF-8\na|1\n-|\xff\n").contains("not text in UTF-8: line 3"));
    }
}
