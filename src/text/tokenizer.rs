//! The tokenizer of a pretrained model.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use tokenizers::tokenizer::{Encoding, PostProcessor, TruncationDirection};

use super::error::TextError;
use super::tokenized::TokenizedText;
use super::tokenizer_config::{self, TokenizerConfig};
use super::windows::Windows;
use crate::base::contain::contained;
use crate::base::digest::Digest;

/// The numbers of the words that tokens are of; `None` for a special token.
pub type Words = Vec<Option<u32>>;

/// A tokenizer from a tokenizer.json, with truncation to a length and without padding.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The number of special tokens of a single text: two with `[CLS]` and `[SEP]`.
    added: usize,
    /// The end at which long texts are cut.
    truncation: TruncationDirection,
    config: TokenizerConfig,
    remarks: Vec<String>,
    /// The rows of the model's word table, where they are known.
    rows: Option<usize>,
    /// The largest id of the vocabulary, without tokens that were added to it.
    largest: u32,
}

impl Tokenizer {
    /// Reads the files of a tokenizer, by name: tokenizer.json, and what tokenizer_config.json
    /// changes of it. Where no class is named there, the architecture (`model_type` of config.json)
    /// tells what holds. Truncation and padding that tokenizer.json enables (as sentence encoders
    /// do) are disabled.
    pub fn read(
        files: &BTreeMap<String, Vec<u8>>,
        model_type: Option<&str>,
    ) -> Result<Tokenizer, TextError> {
        // The library panics over some rules that it cannot read, and where it applies them.
        contained(|| Tokenizer::read_rules(files, model_type)).unwrap_or_else(|panic| {
            Err(TextError::Unreadable(format!("one of its rules is broken ({panic})")))
        })
    }

    /// Reads the files of a tokenizer as [`Tokenizer::read`] does, once for all models of a process
    /// that have the same ones. A text with a token that has no row in a word table of so many rows
    /// is refused.
    pub fn shared(
        files: &BTreeMap<String, Vec<u8>>,
        model_type: Option<&str>,
        rows: Option<usize>,
    ) -> Result<Arc<Tokenizer>, TextError> {
        /// More than a pipeline has models of at a time.
        const MOST: usize = 4;
        static READ: Mutex<Vec<(Digest, Arc<Tokenizer>)>> = Mutex::new(Vec::new());
        let of_file =
            |(name, bytes): (&String, &Vec<u8>)| format!("{name} {}\n", Digest::of(bytes));
        let all: String = files.iter().map(of_file).collect();
        let key = Digest::of(format!("{model_type:?} {rows:?} {all}").as_bytes());
        let read = || READ.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read().iter().find(|(of, _)| *of == key).map(|(_, found)| found.clone());
        if let Some(found) = found {
            return Ok(found);
        }
        let mut tokenizer = Tokenizer::read(files, model_type)?;
        if let Some(rows) = rows {
            tokenizer = tokenizer.for_rows(rows);
        }
        let tokenizer = Arc::new(tokenizer);
        let mut all = read();
        all.truncate(MOST - 1);
        all.insert(0, (key, tokenizer.clone()));
        Ok(tokenizer)
    }

    fn read_rules(
        files: &BTreeMap<String, Vec<u8>>,
        model_type: Option<&str>,
    ) -> Result<Tokenizer, TextError> {
        let bytes = files.get("tokenizer.json").map_or(&[][..], Vec::as_slice);
        let unreadable = |error: tokenizers::Error| TextError::Unreadable(error.to_string());
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(unreadable)?;
        let config = TokenizerConfig::read(files, model_type)?;
        let truncation = config.truncation(inner.get_truncation());
        inner.with_truncation(None).map_err(unreadable)?;
        inner.with_padding(None);
        let remarks = config.apply(&mut inner);
        let added = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let largest = inner.get_vocab(false).into_values().max().unwrap_or(0);
        Ok(Tokenizer { inner, added, truncation, config, remarks, rows: None, largest })
    }

    /// Refuses texts with a token that has no row in a word table of so many rows.
    pub fn for_rows(mut self, rows: usize) -> Tokenizer {
        let beyond = self.inner.get_vocab(true).into_values().filter(|id| *id as usize >= rows);
        let beyond = beyond.count();
        if beyond > 0 {
            self.remarks.push(format!(
                "{beyond} tokens of the tokenizer are beyond the {rows} rows of the word table; a \
                 text with one of them is an error"
            ));
        }
        self.rows = Some(rows);
        self
    }

    /// Returns a line about each setting beside tokenizer.json that is not followed, where texts
    /// may have so many tokens.
    pub fn remarks(&self, longest: usize) -> Vec<String> {
        self.remarks.iter().cloned().chain(self.config.too_long(longest)).collect()
    }

    /// Says whether upper and lower case give the same tokens.
    pub fn folds_case(&self) -> bool {
        contained(|| tokenizer_config::folds_case(&self.inner)).unwrap_or(false)
    }

    /// Tokenizes texts in parallel, in their order, each truncated to at most `max_length` tokens.
    /// Text is cut at the end, or at its beginning if the model's `truncation_side` says so, and
    /// the special tokens stay, as with `truncation=True` in `transformers`.
    pub fn encode(
        &self,
        texts: &[&str],
        max_length: usize,
    ) -> Result<Vec<TokenizedText>, TextError> {
        self.encode_windows(texts, max_length, None)
    }

    /// Tokenizes texts as [`Tokenizer::encode`] does; with windows, what does not fit follows in
    /// further ones, as with `return_overflowing_tokens=True` in `transformers`.
    pub fn encode_windows(
        &self,
        texts: &[&str],
        max_length: usize,
        windows: Option<Windows>,
    ) -> Result<Vec<TokenizedText>, TextError> {
        if max_length <= self.added {
            return Err(TextError::TooShort { max_length, added: self.added });
        }
        let room = max_length - self.added;
        if let Some(Windows { stride, .. }) = windows.filter(|windows| windows.stride >= room) {
            return Err(TextError::Stride { stride, room });
        }
        let stride = windows.map(|windows| windows.stride);
        let one = |text: &&str| Ok(self.encode_one(text, room, stride, false)?.0);
        texts.par_iter().map(one).collect()
    }

    /// Tokenizes texts as [`Tokenizer::encode`] does. Beside each stand the numbers of the words
    /// that its tokens are of, as the tokenizer splits texts; a special token is of none.
    pub fn encode_words(
        &self,
        texts: &[&str],
        max_length: usize,
    ) -> Result<Vec<(TokenizedText, Words)>, TextError> {
        if max_length <= self.added {
            return Err(TextError::TooShort { max_length, added: self.added });
        }
        let one = |text: &&str| self.encode_one(text, max_length - self.added, None, true);
        texts.par_iter().map(one).collect()
    }

    /// Returns the positions of the tokens that start at these bytes of a text, counted with
    /// special tokens; `None` for a byte where no token starts.
    pub fn tokens_at(&self, text: &str, bytes: &[usize]) -> Result<Vec<Option<usize>>, TextError> {
        let failed = |error: tokenizers::Error| TextError::Text {
            text: text.chars().take(40).collect(),
            detail: error.to_string(),
        };
        let encoding = contained(|| self.inner.encode(text, true))
            .unwrap_or_else(|panic| Err(panic.into()))
            .map_err(failed)?;
        // Special tokens cover no text. A byte-level tokenizer includes the space before a word.
        let covers = |&(start, end): &(usize, usize), byte: usize| {
            start < end && start <= byte && byte < end
        };
        Ok(bytes
            .iter()
            .map(|&byte| encoding.get_offsets().iter().position(|offsets| covers(offsets, byte)))
            .collect())
    }

    /// Returns the id of a token, if it is in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Returns the token that stands in the place of another and its id, if there is one.
    pub fn mask(&self) -> Option<(&'static str, u32)> {
        ["[MASK]", "<mask>"].into_iter().find_map(|token| Some((token, self.id(token)?)))
    }

    /// Returns the largest id of the vocabulary, without tokens that were added to it.
    pub fn largest_id(&self) -> u32 {
        self.largest
    }

    /// Returns the id of the padding token, if the file names one.
    pub fn padding_id(&self) -> Option<u32> {
        ["[PAD]", "<pad>"].into_iter().find_map(|token| self.inner.token_to_id(token))
    }

    fn encode_one(
        &self,
        text: &str,
        room: usize,
        stride: Option<usize>,
        asks_words: bool,
    ) -> Result<(TokenizedText, Words), TextError> {
        let shortened = || text.chars().take(40).collect();
        let failed = |error: tokenizers::Error| TextError::Text {
            text: shortened(),
            detail: error.to_string(),
        };
        let encode = || {
            let mut encoding = match asks_words {
                true => self.inner.encode(text, false)?,
                // It does not keep words.
                false => self.inner.encode_fast(text, false)?,
            };
            let is_long = encoding.len() > room;
            encoding.truncate(room, stride.unwrap_or(0), self.truncation);
            let more = encoding.take_overflowing();
            let further = more.into_iter().filter(|_| stride.is_some());
            let windows = std::iter::once(encoding).chain(further);
            let mut words = Words::new();
            let ids = windows.map(|mut window| {
                window.take_overflowing();
                let window = self.inner.post_process(window, None, true)?;
                if asks_words {
                    words = self.words_of(&window);
                }
                Ok(window.get_ids().to_vec())
            });
            Ok((ids.collect::<Result<Vec<_>, tokenizers::Error>>()?, is_long, words))
        };
        let (windows, is_long, words) =
            contained(encode).unwrap_or_else(|panic| Err(panic.into())).map_err(failed)?;
        let has_no_row = |id: &&u32| self.rows.is_some_and(|rows| **id as usize >= rows);
        if let Some(&id) = windows.iter().flatten().find(has_no_row) {
            return Err(TextError::NoRow {
                text: shortened(),
                token: self.inner.id_to_token(id).unwrap_or_default(),
                id,
                rows: self.rows.unwrap_or_default(),
            });
        }
        let mut windows = windows.into_iter();
        match windows.next() {
            Some(ids) if !ids.is_empty() => {
                let truncated = is_long && stride.is_none();
                Ok((TokenizedText { ids, more: windows.collect(), truncated }, words))
            }
            _ => Err(TextError::NoToken { text: shortened() }),
        }
    }

    fn words_of(&self, encoding: &Encoding) -> Words {
        let added = self.inner.get_added_tokens_decoder();
        let is_special = |id: &u32| added.get(id).is_some_and(|token| token.special);
        let tokens = encoding.get_ids().iter().zip(encoding.get_special_tokens_mask());
        let words = encoding.get_word_ids().iter();
        let word = |((id, special), word): ((&u32, &u32), &Option<u32>)| {
            word.filter(|_| *special == 0 && !is_special(id))
        };
        tokens.zip(words).map(word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A tokenizer.json alone.
    fn of(json: &[u8]) -> Result<Tokenizer, TextError> {
        Tokenizer::read(&BTreeMap::from([("tokenizer.json".to_owned(), json.to_vec())]), None)
    }

    /// Compares with the recorded tokens of `transformers` (tests/record_transformers.py).
    #[test]
    fn gives_the_ids_of_transformers() -> Result<(), Box<dyn std::error::Error>> {
        for model in ["tiny-bert", "tiny-distilbert", "tiny-roberta"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(model);
            let tokenizer = of(&fs_err::read(folder.join("tokenizer.json"))?)?;
            let expected: serde_json::Value =
                serde_json::from_slice(&fs_err::read(folder.join("expected.json"))?)?;
            compare(&tokenizer, &expected)?;
            assert!(tokenizer.padding_id().is_some_and(|id| id < tokenizer.largest_id()));
        }
        Ok(())
    }

    fn compare(
        tokenizer: &Tokenizer,
        expected: &serde_json::Value,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let max_length = expected["max_length"].as_u64().ok_or("no max_length")? as usize;
        let cases = expected["tokens"].as_array().ok_or("no tokens")?;
        assert!(cases.len() >= 20);
        let texts: Vec<&str> = cases.iter().filter_map(|case| case["text"].as_str()).collect();
        let found = tokenizer.encode(&texts, max_length)?;
        assert_eq!(found.len(), cases.len());
        for (case, found) in cases.iter().zip(&found) {
            let ids: Vec<u32> = serde_json::from_value(case["ids"].clone())?;
            assert_eq!(found.ids, ids, "{}", case["text"]);
        }
        assert!(
            found.iter().any(|text| text.truncated) && found.iter().any(|text| !text.truncated)
        );
        Ok(())
    }

    #[test]
    fn words_are_told_apart() -> Result<(), Box<dyn std::error::Error>> {
        for (model, expected) in [
            // `kindly` is no token of the vocabularies.
            ("tiny-bert", [Some(1), Some(2)]),
            ("tiny-roberta", [Some(1), Some(2)]),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(model);
            let tokenizer = of(&fs_err::read(folder.join("tokenizer.json"))?)?;
            let texts = ["the kindly food"];
            let encoded = tokenizer.encode_words(&texts, 24)?;
            let (tokens, words) = &encoded[0];
            assert_eq!(vec![tokens.clone()], tokenizer.encode(&texts, 24)?, "{model}");
            assert_eq!(words.len(), tokens.ids.len());
            assert_eq!((words[0], words[1], words[words.len() - 1]), (None, Some(0), None));
            let inner = &words[2..words.len() - 1];
            assert!(inner.iter().filter(|word| **word == expected[0]).count() > 1, "{words:?}");
            assert_eq!(inner.last(), Some(&expected[1]), "{words:?}");
            let (_, cut) = &tokenizer.encode_words(&texts, 4)?[0];
            assert_eq!(cut.len(), 4);
            let special = tokenizer.mask().ok_or("no mask")?.0;
            let (tokens, words) = &tokenizer.encode_words(&[special], 24)?[0];
            assert_eq!((tokens.ids.len(), words.iter().flatten().count()), (3, 0), "{model}");
        }
        Ok(())
    }

    #[test]
    fn says_when_nothing_fits() -> Result<(), Box<dyn std::error::Error>> {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert/tokenizer.json");
        let tokenizer = of(&fs_err::read(file)?)?;
        assert!(matches!(
            tokenizer.encode(&["good"], 2),
            Err(TextError::TooShort { max_length: 2, added: 2 })
        ));
        assert_eq!(tokenizer.encode(&["good food"], 3)?[0].ids.len(), 3);
        assert!(tokenizer.encode(&["good food"], 3)?[0].truncated);
        assert!(!tokenizer.encode(&["good"], 3)?[0].truncated);
        // Without special tokens, a text may have no tokens.
        let bare =
            br#"{"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "vocab": {"good": 0}, "unk_token": "good"}}"#;
        let bare = of(bare)?;
        assert_eq!(bare.encode(&["good"], 3)?[0].ids, [0]);
        assert!(matches!(bare.encode(&[" "], 3), Err(TextError::NoToken { .. })));
        assert!(matches!(of(b"{"), Err(TextError::Unreadable(_))));
        assert!(matches!(of(b"{}"), Err(TextError::Unreadable(_))));
        // Rules over which the library panics, or refuses in words of its own.
        let decoder = |rule: &str| {
            let json = format!(
                r#"{{"version": "1.0", "added_tokens": [], "decoder": {rule},
                "model": {{"type": "WordLevel", "vocab": {{"good": 0}}, "unk_token": "good"}}}}"#
            );
            of(json.as_bytes()).map(|tokenizer| tokenizer.encode(&["good"], 3))
        };
        for rule in [
            r#"{"type": "Replace", "pattern": {"Regex": "("}, "content": ""}"#,
            r#"{"type": "Replace", "pattern": {"Regex": "\"}, "content": ""}"#,
            r#"{"type": "Sequence", "decoders": [{"type": "Strip"}]}"#,
            "[]",
        ] {
            assert!(matches!(decoder(rule), Err(TextError::Unreadable(_))), "{rule}");
        }
        Ok(())
    }

    #[test]
    fn tokens_beyond_the_word_table_matter_where_they_occur() -> Result<(), TextError> {
        let json = br#"{"version": "1.0", "pre_tokenizer": {"type": "Whitespace"},
            "added_tokens": [{"id": 2, "content": "<new>", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}],
            "model": {"type": "WordLevel", "vocab": {"good": 0, "food": 1}, "unk_token": "good"}}"#;
        let tokenizer = of(json)?.for_rows(2);
        assert_eq!(tokenizer.largest_id(), 1);
        assert!(tokenizer.remarks(8).join("").starts_with("1 tokens of the tokenizer are beyond"));
        assert_eq!(tokenizer.encode(&["good food"], 8)?[0].ids, [0, 1]);
        let refused = tokenizer.encode(&["good", "good <new>"], 8).err();
        assert_eq!(
            refused.map(|error| error.to_string()),
            Some(
                "the text `good <new>` has the token `<new>` with the number 2, but the model's \
                 word table has 2 rows"
                    .to_owned()
            )
        );
        let larger = of(json)?.for_rows(3);
        assert_eq!(larger.encode(&["good <new>"], 8)?[0].ids, [0, 2]);
        assert!(larger.remarks(8).is_empty());
        Ok(())
    }
}
