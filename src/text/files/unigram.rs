//! A SentencePiece Unigram model that is read by the rules of an architecture, which are those of
//! its class in `transformers` 5.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenizers::normalizers::Precompiled;

use super::model_file::{CONTROL, ModelFile, UNIGRAM, USER_DEFINED};
use super::parts::{Around, Parts};
use super::special::{NAMES, Settings, Token};
use super::word_piece::{mask_takes_space, named};
use crate::text::error::TextError;

/// A model and the name of its file.
pub(super) struct Source<'a> {
    pub name: &'a str,
    pub file: ModelFile,
}

/// The special tokens of RoBERTa, in the order of their names.
const FAIRSEQ: [&str; 7] = ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"];

/// XLM-RoBERTa: four special tokens stand before the pieces, whose first three go, and the mask
/// token after them.
pub(super) fn xlm_roberta(source: &Source<'_>, settings: &Settings) -> Result<Parts, TextError> {
    let named = named(settings, FAIRSEQ);
    let text = |name: &str| text(&named, name);
    let mut vocabulary: Vec<(String, f64)> =
        ["bos_token", "pad_token", "eos_token", "unk_token"].map(|name| (text(name), 0.0)).into();
    vocabulary.extend(pieces(&source.file).skip(3));
    vocabulary.push((text("mask_token"), 0.0));
    fairseq(source, settings, &vocabulary, named)
}

/// CamemBERT: five special tokens, the last of them in the place of the model's own unknown token,
/// whose score is too low to be chosen.
pub(super) fn camembert(source: &Source<'_>, settings: &Settings) -> Result<Parts, TextError> {
    let mut named = named(settings, FAIRSEQ);
    mask_takes_space(&mut named);
    let text = |name: &str| text(&named, name);
    let mut vocabulary = vec![
        ("<s>NOTUSED".to_owned(), 0.0),
        (text("pad_token"), 0.0),
        ("</s>NOTUSED".to_owned(), 0.0),
        (text("unk_token"), 0.0),
        ("<unk>NOTUSED".to_owned(), -100.0),
    ];
    vocabulary.extend(pieces(&source.file).skip(1));
    vocabulary.push((text("mask_token"), 0.0));
    fairseq(source, settings, &vocabulary, named)
}

/// What both have in common: the words, and two tokens between the texts of a pair.
fn fairseq(
    source: &Source<'_>,
    settings: &Settings,
    vocabulary: &[(String, f64)],
    named: BTreeMap<&'static str, Token>,
) -> Result<Parts, TextError> {
    Ok(Parts {
        model: source.model(vocabulary, 3)?,
        normalizer: source.charsmap()?.unwrap_or(Value::Null),
        pre_tokenizer: by_words(settings),
        decoder: metaspace(scheme(settings, "never")),
        named,
        extra: extra(&source.file),
        raw: false,
        around: Around::Doubled("bos_token", "eos_token"),
    })
}

/// ALBERT: LaTeX's quotes become plain ones, accents and upper case go unless they are kept.
pub(super) fn albert(source: &Source<'_>, settings: &Settings) -> Result<Parts, TextError> {
    let usual = ["[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"];
    let mut rules = vec![replace("``", "\""), replace("''", "\"")];
    if !settings.flag("keep_accents", false) {
        rules.extend([json!({"type": "NFKD"}), json!({"type": "StripAccents"})]);
    }
    if settings.flag("do_lower_case", true) {
        rules.push(json!({"type": "Lowercase"}));
    }
    rules.extend(source.charsmap()?);
    let vocabulary: Vec<(String, f64)> = pieces(&source.file).collect();
    Ok(Parts {
        model: source.model(&vocabulary, 1)?,
        normalizer: sequence("normalizers", rules),
        pre_tokenizer: by_words(settings),
        decoder: metaspace(scheme(settings, "never")),
        named: named(settings, usual),
        extra: extra(&source.file),
        raw: false,
        around: Around::Typed("cls_token", "sep_token"),
    })
}

/// DeBERTa 2 and 3: white space is joined and texts are composed (NFC); the model's own rules for
/// characters are not used.
pub(super) fn deberta_v2(source: &Source<'_>, settings: &Settings) -> Result<Parts, TextError> {
    let usual = ["[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    let named = named(settings, usual);
    let mut rules = Vec::new();
    if settings.flag("do_lower_case", false) {
        rules.push(json!({"type": "Lowercase"}));
    }
    rules.extend([
        replace_all(r"\s{2,}|[\n\r\t]", " "),
        json!({"type": "NFC"}),
        json!({"type": "Strip", "strip_left": false, "strip_right": true}),
    ]);
    let mut splits = Vec::new();
    if settings.flag("split_by_punct", false) {
        splits.push(json!({"type": "Punctuation", "behavior": "Isolated"}));
    }
    splits.push(metaspace(scheme(settings, "first")));
    let vocabulary: Vec<(String, f64)> = pieces(&source.file).collect();
    let unknown = named.get("unk_token").map(|token| (token.content.clone(), 0.0));
    let place = vocabulary.iter().position(|piece| Some(piece) == unknown.as_ref());
    let unknown = place.or_else(|| usize::try_from(source.file.trainer().unk_id).ok());
    Ok(Parts {
        model: source.model(&vocabulary, unknown.unwrap_or(1))?,
        normalizer: sequence("normalizers", rules),
        pre_tokenizer: sequence("pretokenizers", splits),
        decoder: metaspace(scheme(settings, "first")),
        named,
        extra: extra(&source.file),
        raw: false,
        around: Around::Typed("cls_token", "sep_token"),
    })
}

impl Source<'_> {
    /// Returns the model's rules for characters, if it has any.
    pub(super) fn charsmap(&self) -> Result<Option<Value>, TextError> {
        let bytes = self.file.normalizer().precompiled_charsmap;
        if bytes.is_empty() {
            return Ok(None);
        }
        // The library makes room for as many numbers as the first four bytes say.
        let size = bytes.first_chunk::<4>().map(|size| u32::from_le_bytes(*size) as usize);
        let fits = size.is_some_and(|size| size <= bytes.len() - 4);
        let rules = fits.then(|| Precompiled::from(&bytes).ok()).flatten();
        let rules = rules.and_then(|rules| serde_json::to_value(rules).ok());
        match rules {
            Some(rules) => Ok(Some(rules)),
            None => Err(self.wrong("its rules for characters are broken".to_owned())),
        }
    }

    pub(super) fn wrong(&self, detail: String) -> TextError {
        TextError::File { file: self.name.to_owned(), detail }
    }

    fn model(&self, vocabulary: &[(String, f64)], unknown: usize) -> Result<Value, TextError> {
        if self.file.trainer().model_type != UNIGRAM {
            let detail = "it is no Unigram model, which the tokenizer's class expects";
            return Err(self.wrong(detail.to_owned()));
        }
        Ok(unigram(vocabulary, unknown, false))
    }
}

/// Returns the text of a special token, or its usual one.
fn text(named: &BTreeMap<&'static str, Token>, name: &str) -> String {
    let usual = NAMES.iter().zip(FAIRSEQ).find(|(it, _)| **it == name).map(|(_, usual)| usual);
    let said = named.get(name).map(|token| token.content.as_str());
    said.or(usual).unwrap_or_default().to_owned()
}

/// Returns a Unigram model.
pub(super) fn unigram(vocabulary: &[(String, f64)], unknown: usize, bytes: bool) -> Value {
    json!({"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": bytes})
}

/// Returns the pieces of a file with their scores.
pub(super) fn pieces(file: &ModelFile) -> impl Iterator<Item = (String, f64)> + '_ {
    file.pieces.iter().map(|piece| (piece.piece.clone(), f64::from(piece.score)))
}

/// Returns the pieces that are never cut: those that steer, and those that a user defined.
pub(super) fn extra(file: &ModelFile) -> Vec<Token> {
    let kept = file.pieces.iter().filter(|piece| [CONTROL, USER_DEFINED].contains(&piece.kind));
    kept.map(|piece| Token::piece(&piece.piece, piece.kind == CONTROL)).collect()
}

pub(super) fn sequence(name: &str, rules: Vec<Value>) -> Value {
    json!({"type": "Sequence", name: rules})
}

pub(super) fn replace(old: &str, new: &str) -> Value {
    json!({"type": "Replace", "pattern": {"String": old}, "content": new})
}

pub(super) fn replace_all(pattern: &str, new: &str) -> Value {
    json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": new})
}

/// Cuts at white space, then writes spaces as SentencePiece does.
fn by_words(settings: &Settings) -> Value {
    let words = json!({"type": "WhitespaceSplit"});
    sequence("pretokenizers", vec![words, metaspace(scheme(settings, "never"))])
}

fn metaspace(scheme: &str) -> Value {
    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true})
}

/// Says where a space is put before a text.
fn scheme(settings: &Settings, without: &'static str) -> &'static str {
    if settings.flag("add_prefix_space", true) { "always" } else { without }
}
