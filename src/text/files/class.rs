//! The class of a tokenizer: what is named, else what the architecture has, else what the files
//! tell.

use std::collections::BTreeMap;

use serde_json::Value;

use super::special::{CONFIG, Settings};
use crate::text::error::TextError;

/// A kind of tokenizer, by the class of `transformers` that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bert,
    Mpnet,
    Roberta,
    Deberta,
    ModernBert,
    XlmRoberta,
    Camembert,
    Albert,
    DebertaV2,
    /// Follows a SentencePiece model's own settings.
    General,
}

/// A class, its names (without `Fast`), and the `model_type`s that have it.
type Row = (Class, &'static [&'static str], &'static [&'static str]);

const CLASSES: &[Row] = &[
    (
        Class::Bert,
        &[
            "BertTokenizer",
            "DistilBertTokenizer",
            "ElectraTokenizer",
            "ConvBertTokenizer",
            "MobileBertTokenizer",
            "SqueezeBertTokenizer",
        ],
        &[
            "bert",
            "distilbert",
            "electra",
            "ernie",
            "convbert",
            "mobilebert",
            "megatron-bert",
            "nomic_bert",
            "squeezebert",
        ],
    ),
    (Class::Mpnet, &["MPNetTokenizer"], &["mpnet"]),
    (
        Class::Roberta,
        &["RobertaTokenizer", "LongformerTokenizer"],
        &["roberta", "roberta-prelayernorm", "longformer", "data2vec-text", "ibert"],
    ),
    (Class::Deberta, &["DebertaTokenizer"], &["deberta"]),
    // It has no class of its own: its files beside tokenizer.json are read by its rules here.
    (Class::ModernBert, &[], &["modernbert"]),
    (Class::XlmRoberta, &["XLMRobertaTokenizer"], &["xlm-roberta", "xlm-roberta-xl", "xmod"]),
    (Class::Camembert, &["CamembertTokenizer"], &["camembert"]),
    (Class::Albert, &["AlbertTokenizer"], &["albert", "yoso"]),
    (Class::DebertaV2, &["DebertaV2Tokenizer"], &["deberta-v2"]),
    (Class::General, GENERAL, &[]),
];

/// The names that a SentencePiece model has.
const SENTENCE_PIECE: [&str; 4] =
    ["sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"];

/// The classes that say nothing of the files.
const GENERAL: &[&str] =
    &["PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend", "PythonBackend"];

impl Class {
    /// Finds the class of a folder's tokenizer; `config` is its config.json.
    pub(super) fn find(
        files: &BTreeMap<String, Vec<u8>>,
        settings: &Settings,
        config: &Value,
    ) -> Result<Class, TextError> {
        let key = "tokenizer_class";
        let text = |value: Option<&'_ Value>| value.and_then(Value::as_str).map(str::to_owned);
        let named = text(settings.value(key)).or_else(|| text(config.get(key)));
        let named = named.as_deref();
        let named = named.map(|name| match name {
            "PreTrainedTokenizerFast" => name,
            name => name.strip_suffix("Fast").unwrap_or(name),
        });
        if let Some(name) = named.filter(|name| !GENERAL.contains(name)) {
            let found = CLASSES.iter().find(|(_, names, _)| names.contains(&name));
            let unknown = || TextError::Class { class: name.to_owned() };
            return found.map(|(class, ..)| *class).ok_or_else(unknown);
        }
        // A general class reads SentencePiece models only.
        if named.is_some() && sentence_piece(files, "tokenizer.model").is_some() {
            return Ok(Class::General);
        }
        let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
        match CLASSES.iter().find(|(_, _, types)| types.contains(&model_type)) {
            Some((class, ..)) if class.is_possible(files) => Ok(*class),
            _ => Class::of_files(files),
        }
    }

    /// Checks that the files are there that a class reads.
    pub(super) fn check(self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), TextError> {
        let expected = match self {
            _ if self.is_possible(files) => return Ok(()),
            Class::Bert | Class::Mpnet => "`vocab.txt`",
            Class::Roberta | Class::Deberta | Class::ModernBert => "`vocab.json` and `merges.txt`",
            _ => "a SentencePiece model, such as `spiece.model`",
        };
        let found: Vec<String> = files.keys().map(|name| format!("`{name}`")).collect();
        let row = CLASSES.iter().find(|(class, ..)| *class == self);
        let name = row.and_then(|(_, names, _)| names.first()).unwrap_or(&"ModernBERT");
        Err(TextError::NoFiles { class: name, expected, found: found.join(", ") })
    }

    fn is_possible(self, files: &BTreeMap<String, Vec<u8>>) -> bool {
        match self {
            Class::Bert | Class::Mpnet => files.contains_key("vocab.txt"),
            Class::Roberta | Class::Deberta | Class::ModernBert => {
                files.contains_key("vocab.json") && files.contains_key("merges.txt")
            }
            _ => sentence_piece(files, "").is_some(),
        }
    }

    fn of_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Class, TextError> {
        let text = |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes));
        let undecided = |file: &str, tokens: &str| TextError::File {
            file: file.to_owned(),
            detail: format!(
                "it has neither {tokens}, and no class is named in {CONFIG} that would tell how it \
                 is read"
            ),
        };
        if sentence_piece(files, "").is_some() {
            return Ok(Class::General);
        }
        if let Some(vocabulary) = text("vocab.txt") {
            let has = |token: &str| vocabulary.lines().any(|line| line.trim_end() == token);
            return match (has("[CLS]") && has("[SEP]"), has("<s>") && has("</s>")) {
                (true, false) => Ok(Class::Bert),
                (false, true) => Ok(Class::Mpnet),
                _ => Err(undecided("vocab.txt", "`[CLS]` and `[SEP]` nor `<s>` and `</s>` alone")),
            };
        }
        match (text("vocab.json"), files.contains_key("merges.txt")) {
            (Some(vocabulary), true) if vocabulary.contains("\"<s>\"") => Ok(Class::Roberta),
            (Some(_), true) => Err(undecided("vocab.json", "`<s>`, as RoBERTa's has,")),
            (found, _) => Err(TextError::NoPair {
                found: if found.is_some() { "vocab.json" } else { "merges.txt" },
                missing: if found.is_some() { "merges.txt" } else { "vocab.json" },
            }),
        }
    }
}

/// Returns the SentencePiece model among files: the one of the name that the class uses, else
/// another.
pub(super) fn sentence_piece<'a>(
    files: &'a BTreeMap<String, Vec<u8>>,
    usual: &str,
) -> Option<(&'a str, &'a [u8])> {
    let names = std::iter::once(usual).chain(SENTENCE_PIECE);
    let found = names.filter_map(|name| files.get_key_value(name)).next();
    found.map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
}
