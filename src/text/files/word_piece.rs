//! vocab.txt: a WordPiece vocabulary, one token a line.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenizers::models::wordpiece::WordPiece;

use super::parts::{Around, Parts};
use super::special::{NAMES, Settings, Token};
use crate::text::error::TextError;

const VOCABULARY: &str = "vocab.txt";

/// BERT and what has its tokenizer.
pub(super) fn bert(
    files: &BTreeMap<String, Vec<u8>>,
    settings: &Settings,
) -> Result<Parts, TextError> {
    let usual = ["", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    parts(files, settings, named(settings, usual), Around::Typed("cls_token", "sep_token"))
}

/// MPNet: the vocabulary of BERT behind the special tokens of RoBERTa.
pub(super) fn mpnet(
    files: &BTreeMap<String, Vec<u8>>,
    settings: &Settings,
) -> Result<Parts, TextError> {
    let usual = ["<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"];
    let mut named = named(settings, usual);
    mask_takes_space(&mut named);
    let around = Around::Roberta { trim_offsets: true, add_prefix_space: false };
    parts(files, settings, named, around)
}

/// Returns the special tokens of a class, each as the settings have it, else the usual one.
pub(super) fn named(settings: &Settings, usual: [&str; 7]) -> BTreeMap<&'static str, Token> {
    let tokens = NAMES.into_iter().zip(usual);
    tokens.filter_map(|(name, usual)| Some((name, settings.token(name, usual)?))).collect()
}

/// Lets a mask token of which only the text is known include the space before it.
pub(super) fn mask_takes_space(named: &mut BTreeMap<&'static str, Token>) {
    if let Some(mask) = named.get_mut("mask_token").filter(|mask| mask.bare) {
        *mask = mask.clone().with_space_before();
    }
}

fn parts(
    files: &BTreeMap<String, Vec<u8>>,
    settings: &Settings,
    named: BTreeMap<&'static str, Token>,
    around: Around,
) -> Result<Parts, TextError> {
    let wrong = |detail: String| TextError::File { file: VOCABULARY.to_owned(), detail };
    let bytes = files.get(VOCABULARY).map_or(&[][..], Vec::as_slice);
    let vocabulary =
        WordPiece::read_bytes(bytes).map_err(|error| wrong(format!("it is not text ({error})")))?;
    let unknown = named.get("unk_token").map_or("[UNK]", |token| token.content.as_str());
    let vocabulary: serde_json::Map<String, Value> =
        vocabulary.into_iter().map(|(token, id)| (token, id.into())).collect();
    let model = json!({
        "type": "WordPiece",
        "unk_token": unknown,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": vocabulary,
    });
    let accents = settings.value("strip_accents").cloned().unwrap_or(Value::Null);
    Ok(Parts {
        model,
        normalizer: json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": settings.flag("tokenize_chinese_chars", true),
            "strip_accents": accents,
            "lowercase": settings.flag("do_lower_case", true),
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        named,
        extra: Vec::new(),
        raw: false,
        around,
    })
}
