//! Synonyms from WordNet's own files (wndb(5WN), morphy(7WN)).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::thesaurus::Thesaurus;
use crate::base::digest::Digest;
use crate::stages::augment::error::{AugmentError, file_digest, read_text};
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::External;

const WHAT: &str = "WordNet file";
const HELP: &str = "fetch WordNet's files again; Debian's package `wordnet-base` has them";

/// The parts of speech: their file names, and the endings that morphy replaces, each with its
/// replacement.
const PARTS: [(&str, &[(&str, &str)]); 4] = [
    (
        "noun",
        &[
            ("s", ""),
            ("ses", "s"),
            ("xes", "x"),
            ("zes", "z"),
            ("ches", "ch"),
            ("shes", "sh"),
            ("men", "man"),
            ("ies", "y"),
        ],
    ),
    (
        "verb",
        &[
            ("s", ""),
            ("ies", "y"),
            ("es", "e"),
            ("es", ""),
            ("ed", "e"),
            ("ed", ""),
            ("ing", "e"),
            ("ing", ""),
        ],
    ),
    ("adj", &[("er", ""), ("est", ""), ("er", "e"), ("est", "e")]),
    ("adv", &[]),
];

/// Digests the files together.
pub(super) fn externals(folder: &Path, name: &str) -> Result<Vec<External>, StageError> {
    let mut digests = String::new();
    for (part, _) in PARTS {
        for file in [format!("index.{part}"), format!("data.{part}"), format!("{part}.exc")] {
            digests.push_str(
                &file_digest(folder, &format!("{name}/{file}"), WHAT)?.digest.to_string(),
            );
        }
    }
    Ok(vec![External { name: name.to_owned(), digest: Digest::of(digests.as_bytes()) }])
}

/// Returns the other words in all synsets of a word, or of its base form if WordNet has no entry
/// for the word: by part of speech, then by frequency.
pub(super) fn thesaurus(
    folder: &Path,
    name: &str,
    words: &BTreeSet<String>,
) -> Result<Thesaurus, AugmentError> {
    let mut found: BTreeMap<&String, Vec<String>> = BTreeMap::new();
    for (part, endings) in PARTS {
        let file = |file: String| -> Result<(String, String), AugmentError> {
            let path = format!("{name}/{file}");
            let text = read_text(folder, &path, WHAT)?;
            Ok((path, text))
        };
        let (index_path, index) = file(format!("index.{part}"))?;
        let index = read_index(&index_path, &index)?;
        let (exceptions_path, exceptions) = file(format!("{part}.exc"))?;
        let exceptions = read_exceptions(&exceptions_path, &exceptions)?;
        let (data_path, data) = file(format!("data.{part}"))?;
        for word in words {
            for base in bases(word, &index, &exceptions, endings) {
                for &offset in index.get(base.as_str()).into_iter().flatten() {
                    let synonyms = found.entry(word).or_default();
                    for synonym in read_synset(&data_path, &data, offset)? {
                        let itself = synonym.to_lowercase();
                        if itself != *word && itself != base && !synonyms.contains(&synonym) {
                            synonyms.push(synonym);
                        }
                    }
                }
            }
        }
    }
    Ok(Thesaurus::from(found.into_iter().map(|(word, synonyms)| (word.clone(), synonyms))))
}

/// Returns the forms to look up for a word: itself if it has an entry, else its irregular base
/// forms, else the word with an ending replaced.
fn bases(
    word: &str,
    index: &BTreeMap<&str, Vec<usize>>,
    exceptions: &BTreeMap<&str, Vec<&str>>,
    endings: &[(&str, &str)],
) -> Vec<String> {
    if index.contains_key(word) {
        return vec![word.to_owned()];
    }
    if let Some(forms) = exceptions.get(word) {
        return forms.iter().map(|form| (*form).to_owned()).collect();
    }
    let mut bases: Vec<String> = Vec::new();
    for (ending, instead) in endings {
        let base = word.strip_suffix(ending).map(|stem| format!("{stem}{instead}"));
        bases
            .extend(base.filter(|base| index.contains_key(base.as_str()) && !bases.contains(base)));
    }
    bases
}

/// Reads the places of each word's synsets in the data file.
fn read_index<'a>(
    path: &str,
    text: &'a str,
) -> Result<BTreeMap<&'a str, Vec<usize>>, AugmentError> {
    let mut index = BTreeMap::new();
    for (row, line) in
        text.lines().enumerate().filter(|(_, line)| !line.starts_with(' ') && !line.is_empty())
    {
        // lemma pos synset_cnt p_cnt ptr_symbol… sense_cnt tagsense_cnt synset_offset…
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<usize>().ok());
        let offsets = number(2).zip(number(3)).and_then(|(synsets, pointers)| {
            let start = pointers.checked_add(6)?;
            let offsets = fields.get(start..start.checked_add(synsets)?)?;
            offsets
                .iter()
                .map(|offset| offset.parse::<usize>().ok())
                .collect::<Option<Vec<usize>>>()
        });
        let Some(offsets) = offsets else {
            let expected =
                "a word, its part of speech, counts and the places of its synsets (wndb)";
            return Err(malformed(path, row + 1, line, expected));
        };
        index.insert(fields[0], offsets);
    }
    Ok(index)
}

/// Reads irregular forms: an inflected form and its base forms.
fn read_exceptions<'a>(
    path: &str,
    text: &'a str,
) -> Result<BTreeMap<&'a str, Vec<&'a str>>, AugmentError> {
    let mut exceptions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (row, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split_whitespace();
        let inflected = fields.next().unwrap_or_default();
        let forms: Vec<&str> = fields.collect();
        if forms.is_empty() {
            return Err(malformed(path, row + 1, line, "an inflected form and its base forms"));
        }
        exceptions.entry(inflected).or_default().extend(forms);
    }
    Ok(exceptions)
}

/// Returns the line that starts at a byte of a text.
fn line_at(text: &str, offset: usize) -> Option<&str> {
    let starts = offset == 0 || text.as_bytes().get(offset - 1) == Some(&b'\n');
    text.get(offset..).filter(|_| starts).and_then(|rest| rest.lines().next())
}

/// Returns the number of the line that a byte is in, from 1.
fn line_number(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Reads the words of a synset.
fn read_synset(path: &str, data: &str, offset: usize) -> Result<Vec<String>, AugmentError> {
    let expected = "a synset that starts with its own place in the file (wndb)";
    let line = line_at(data, offset).unwrap_or_default();
    // synset_offset lex_filenum ss_type w_cnt word lex_id…
    let fields: Vec<&str> = line.split_whitespace().collect();
    let own = fields.first().and_then(|field| field.parse::<usize>().ok());
    let count = fields.get(3).and_then(|field| usize::from_str_radix(field, 16).ok());
    let words =
        count.filter(|_| own == Some(offset)).and_then(|count| fields.get(4..4 + 2 * count));
    let Some(words) = words else {
        return Err(malformed(path, line_number(data, offset), line, expected));
    };
    // Adjectives may carry a mark of their position: `galore(ip)`.
    let spelled = |word: &str| word.split('(').next().unwrap_or(word).replace('_', " ");
    Ok(words.iter().step_by(2).map(|word| spelled(word)).collect())
}

fn malformed(path: &str, line: usize, found: &str, expected: &'static str) -> AugmentError {
    let mut shown: String = found.chars().take(60).collect();
    shown = if shown.is_empty() {
        "there is no such line".to_owned()
    } else {
        format!("found `{shown}`")
    };
    AugmentError::Malformed { path: path.to_owned(), line, found: shown, expected, help: HELP }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a WordNet of two synsets of nouns and one of adjectives.
    fn write(folder: &Path) -> std::io::Result<()> {
        let first = "00000000 06 n 02 card 0 identity_card 0 000 | a card\n";
        let data =
            format!("{first}{:08} 06 n 03 card 0 Poster 1 bill 2 000 | another\n", first.len());
        let files = [
            ("data.noun", data),
            (
                "index.noun",
                format!(
                    "  1 a licence\nbill n 1 1 @ 1 0 {:08}\ncard n 2 0 2 0 00000000 {:08}\n",
                    first.len(),
                    first.len()
                ),
            ),
            ("noun.exc", "cardses card\n".into()),
            ("data.adj", "00000000 00 s 02 galore(ip) 0 abounding 0 000 | many\n".into()),
            ("index.adj", "galore a 1 1 & 1 0 00000000\n".into()),
        ];
        for (part, _) in PARTS {
            for file in [format!("data.{part}"), format!("index.{part}"), format!("{part}.exc")] {
                fs_err::write(folder.join(file), "")?;
            }
        }
        files.into_iter().try_for_each(|(name, content)| fs_err::write(folder.join(name), content))
    }

    fn look_up(folder: &Path, words: &[&str]) -> Result<Thesaurus, AugmentError> {
        thesaurus(folder, ".", &words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn synonyms_are_the_other_words_of_the_synsets() -> Result<(), AugmentError> {
        let folder = tempfile::tempdir()?;
        write(folder.path())?;
        let found =
            look_up(folder.path(), &["card", "cards", "cardses", "bills", "galore", "nothing"])?;
        let expected = ["identity card", "Poster", "bill"];
        for form in ["card", "cards", "cardses"] {
            assert_eq!(found.synonyms(form), expected, "{form}");
        }
        assert_eq!(found.synonyms("bills"), ["card", "Poster"]);
        assert_eq!(found.synonyms("galore"), ["abounding"]);
        assert_eq!(found.len(), 5);
        Ok(())
    }

    #[test]
    fn damage_is_named_by_file_and_line() -> Result<(), AugmentError> {
        let folder = tempfile::tempdir()?;
        let message = |name: &str, content: &[u8]| -> Result<String, AugmentError> {
            write(folder.path())?;
            fs_err::write(folder.path().join(name), content)?;
            Ok(look_up(folder.path(), &["card"])
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default())
        };
        assert!(
            message("index.noun", b"card n 1 0 1 0 00000000\nbill n\n")?
                .starts_with("`./index.noun`, line 2: found `bill n`")
        );
        assert!(
            message("index.noun", b"card n 1 0 1 0 00000009\n")?
                .starts_with("`./data.noun`, line 1: there is no such line")
        );
        assert!(message("index.noun", b"card n 99999999999999999999 0\n")?.contains("line 1"));
        assert!(
            message("data.noun", b"00000000 06 n 09 card 0\n")?.contains("`./data.noun`, line 1")
        );
        assert!(message("verb.exc", b"went go\n\nx\n")?.contains("`./verb.exc`, line 3"));
        assert!(message("data.noun", b"\xff")?.contains("not text in UTF-8: line 1"));
        write(folder.path())?;
        fs_err::remove_file(folder.path().join("index.adv"))?;
        assert_eq!(
            look_up(folder.path(), &["card"]).err().map(|error| error.to_string()).as_deref(),
            Some("there is no WordNet file `./index.adv`")
        );
        assert!(externals(folder.path(), ".").is_err());
        Ok(())
    }
}
