//! vocab.json and merges.txt: byte-level BPE.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parts::{Around, Parts};
use super::special::Settings;
use super::word_piece::named;
use crate::text::error::TextError;

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";

/// RoBERTa and what has its tokenizer.
pub(super) fn roberta(
    files: &BTreeMap<String, Vec<u8>>,
    settings: &Settings,
) -> Result<Parts, TextError> {
    let usual = ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"];
    let around = Around::Roberta {
        trim_offsets: settings.flag("trim_offsets", true),
        add_prefix_space: settings.flag("add_prefix_space", false),
    };
    parts(files, settings, usual, around, Value::Null)
}

/// The first DeBERTa: RoBERTa's vocabulary with the special tokens of BERT.
pub(super) fn deberta(
    files: &BTreeMap<String, Vec<u8>>,
    settings: &Settings,
) -> Result<Parts, TextError> {
    let usual = ["[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    parts(files, settings, usual, Around::Doubled("cls_token", "sep_token"), Value::Null)
}

/// ModernBERT, whose texts are composed (NFC) first.
pub(super) fn modern_bert(
    files: &BTreeMap<String, Vec<u8>>,
    settings: &Settings,
) -> Result<Parts, TextError> {
    let usual = ["", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    let around = Around::Typed("cls_token", "sep_token");
    parts(files, settings, usual, around, json!({"type": "NFC"}))
}

fn parts(
    files: &BTreeMap<String, Vec<u8>>,
    settings: &Settings,
    usual: [&str; 7],
    around: Around,
    normalizer: Value,
) -> Result<Parts, TextError> {
    let bytes = |name: &str| files.get(name).map_or(&[][..], Vec::as_slice);
    let space = settings.flag("add_prefix_space", false);
    let model = json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": null,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": false,
        "byte_fallback": false,
        "ignore_merges": false,
        "vocab": vocabulary(bytes(VOCABULARY))?,
        "merges": merges(bytes(MERGES))?,
    });
    let level = |space: bool| {
        json!({
            "type": "ByteLevel",
            "add_prefix_space": space,
            "trim_offsets": true,
            "use_regex": true,
        })
    };
    Ok(Parts {
        model,
        normalizer,
        pre_tokenizer: level(space),
        decoder: level(true),
        named: named(settings, usual),
        extra: Vec::new(),
        raw: false,
        around,
    })
}

fn vocabulary(bytes: &[u8]) -> Result<Map<String, Value>, TextError> {
    let wrong = |detail: String| TextError::File { file: VOCABULARY.to_owned(), detail };
    let vocabulary: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| wrong(format!("it is not JSON ({error})")))?;
    let is_id = |id: &Value| id.as_u64().is_some_and(|id| u32::try_from(id).is_ok());
    match vocabulary.iter().find(|(_, id)| !is_id(id)) {
        Some((token, id)) => {
            Err(wrong(format!("it has `{token}: {id}`; expected the number of the token")))
        }
        None => Ok(vocabulary),
    }
}

/// Returns the merges, a pair a line; the file may say its version first.
fn merges(bytes: &[u8]) -> Result<Vec<[&str; 2]>, TextError> {
    let wrong = |detail: String| TextError::File { file: MERGES.to_owned(), detail };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| wrong(format!("it is not text in UTF-8 ({error})")))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version"));
    lines
        .map(|(index, line)| {
            let parts: Vec<&str> = line.split(' ').collect();
            <[&str; 2]>::try_from(parts)
                .map_err(|_| wrong(format!("its line {} is not two tokens", index + 1)))
        })
        .collect()
}
