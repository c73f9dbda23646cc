//! The whole words of a tokenizer's vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::stages::augment::language::words::is_unspaced;

const TOKENIZER: &str = "tokenizer.json";

/// The spelling of a word, and its row of the word table.
pub type WordRow = (String, usize);

/// Returns the words of a tokenizer's vocabulary by lower case, each with its row. Of several
/// spellings the lower-case one is taken, else the first. Word pieces, special tokens and
/// everything shorter than two letters (or one Chinese or Japanese character) are left out.
pub fn whole_words(tokenizer: &[u8]) -> Result<BTreeMap<String, WordRow>, String> {
    let tokenizer: Value =
        serde_json::from_slice(tokenizer).map_err(|error| format!("{TOKENIZER}: {error}"))?;
    let model = &tokenizer["model"];
    let entries = model["vocab"].as_object().ok_or_else(|| {
        format!("its tokenizer has the type {}; expected `WordPiece` or `BPE`", model["type"])
    })?;
    // Byte-level BPE writes the space before a word as `Ġ` and letters outside ASCII as other
    // letters.
    let by_bytes =
        entries.keys().any(|token| token.len() > 'Ġ'.len_utf8() && token.starts_with('Ġ'));
    let special: BTreeSet<&str> = tokenizer["added_tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["content"].as_str())
        .collect();
    let mut words: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (token, id) in entries {
        let word = if by_bytes { token.strip_prefix('Ġ') } else { Some(token.as_str()) };
        let Some((word, row)) = word.zip(id.as_u64().and_then(|id| usize::try_from(id).ok()))
        else {
            continue;
        };
        let letters = |c: char| if by_bytes { c.is_ascii_alphabetic() } else { c.is_alphabetic() };
        let short = word.chars().nth(1).is_none() && !word.chars().any(is_unspaced);
        if special.contains(token.as_str()) || short || !word.chars().all(letters) {
            continue;
        }
        let lower = word.to_lowercase();
        let better = words.get(&lower).is_none_or(|(known, known_row)| {
            *known != lower && (word == lower || row < *known_row)
        });
        if better {
            words.insert(lower, (word.to_owned(), row));
        }
    }
    if words.is_empty() { Err("it has no word of two letters or more".into()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_special_tokens_and_other_spellings_are_left_out() {
        let tokenizer = r###"{"added_tokens": [{"content": "mask"}], "model": {"type": "WordPiece", "vocab":
            {"[CLS]": 0, "mask": 1, "##ing": 2, "Card": 3, "card": 4, "CARD": 5, "a": 6, "x1": 7, "Berlin": 8, "[unused1]": 9, "große": 10}}}"###;
        let words = whole_words(tokenizer.as_bytes()).unwrap_or_default();
        let found: Vec<(&str, &str, usize)> = words
            .iter()
            .map(|(lower, (word, row))| (lower.as_str(), word.as_str(), *row))
            .collect();
        assert_eq!(found, [("berlin", "Berlin", 8), ("card", "card", 4), ("große", "große", 10)]);
    }

    #[test]
    fn byte_level_vocabularies_have_words_behind_a_space() {
        let tokenizer = concat!(
            r#"{"model": {"type": "BPE", "vocab": {"<s>": 0, "card": 1, "Ġcard": 2, "#,
            r#""ĠCard": 3, "ĠcafÃ©": 4, "Ġ": 5}}}"#
        );
        let words = whole_words(tokenizer.as_bytes()).unwrap_or_default();
        assert_eq!(words, BTreeMap::from([("card".to_owned(), ("card".to_owned(), 2))]));
    }

    #[test]
    fn a_tokenizer_without_words_says_what_it_is() {
        let unigram = whole_words(br#"{"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}"#);
        assert!(unigram.is_err_and(|reason| reason.contains("\"Unigram\"; expected")));
        assert!(whole_words(b"{").is_err());
        assert!(whole_words(br#"{"model": {"type": "BPE", "vocab": {"a": 1}}}"#).is_err());
    }
}
