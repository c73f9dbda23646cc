//! tokenizer_config.json and special_tokens_map.json: what they change of a tokenizer.json, and
//! where they contradict it.
//!
//! What holds is what `transformers` 5 does. Its tokenizers of one architecture (`BertTokenizer`,
//! `RobertaTokenizer`) build their normalizer or pre-tokenizer from tokenizer_config.json; the
//! general ones (`PreTrainedTokenizerFast`, `TokenizersBackend`) take tokenizer.json as it is. All
//! of them follow `truncation_side`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::tokenizer::{TruncationDirection, TruncationParams};

use super::error::TextError;

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// The settings beside a tokenizer.json.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenizerConfig {
    config: Map<String, Value>,
    special: Map<String, Value>,
    /// The ids of tokens that were added later.
    added: Map<String, Value>,
    family: Family,
}

/// Which settings the class of a tokenizer follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Family {
    /// Follows tokenizer.json.
    #[default]
    General,
    Bert,
    Roberta,
}

impl TokenizerConfig {
    /// Reads the files beside a tokenizer.json, by name. The architecture, `model_type` of
    /// config.json, tells the class where none is named.
    pub(super) fn read(
        files: &BTreeMap<String, Vec<u8>>,
        model_type: Option<&str>,
    ) -> Result<TokenizerConfig, TextError> {
        let object = |name: &str| match files.get(name) {
            None => Ok(Map::new()),
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| TextError::Settings {
                file: name.to_owned(),
                detail: error.to_string(),
            }),
        };
        let (config, special) = (object(CONFIG)?, object(SPECIAL)?);
        check(&config)?;
        let added = object(ADDED)?;
        let class = config.get("tokenizer_class").and_then(Value::as_str);
        let family = match (class, model_type) {
            (Some(class), _) => {
                let class = class.trim_end_matches("Fast");
                match class {
                    "BertTokenizer" | "DistilBertTokenizer" | "ElectraTokenizer" => Family::Bert,
                    "RobertaTokenizer" => Family::Roberta,
                    _ => Family::General,
                }
            }
            (None, Some("bert" | "distilbert" | "electra")) => Family::Bert,
            (None, Some("roberta")) => Family::Roberta,
            (None, _) => Family::General,
        };
        Ok(TokenizerConfig { config, special, added, family })
    }

    /// Returns the end at which long texts are cut; `own` is what tokenizer.json says.
    pub(super) fn truncation(&self, own: Option<&TruncationParams>) -> TruncationDirection {
        match (self.text("truncation_side"), own) {
            (Some("left"), _) => TruncationDirection::Left,
            (None, Some(own)) => own.direction,
            _ => TruncationDirection::Right,
        }
    }

    /// Changes a tokenizer as the settings say, and returns a line about each that is not followed.
    pub(super) fn apply(&self, tokenizer: &mut tokenizers::Tokenizer) -> Vec<String> {
        let mut remarks = match self.family {
            Family::General => self.ignored_case(tokenizer),
            Family::Bert => self.bert(tokenizer),
            Family::Roberta => self.roberta(tokenizer),
        };
        remarks.extend(self.special_tokens(tokenizer));
        remarks.extend(self.added_tokens(tokenizer));
        if self.flag("split_special_tokens") == Some(true) {
            remarks.push(format!(
                "{CONFIG} has `split_special_tokens: true`; special tokens are kept whole"
            ));
        }
        if self.text("padding_side") == Some("left") {
            remarks.push(format!("{CONFIG} has `padding_side: left`; `pipe` pads on the right"));
        }
        remarks
    }

    /// Returns a line if texts may be longer than the model was made for.
    pub(super) fn too_long(&self, longest: usize) -> Option<String> {
        let most = self.config.get("model_max_length").and_then(Value::as_f64)?;
        (most > 0.0 && most < longest as f64).then(|| {
            format!(
                "{CONFIG} has `model_max_length: {most}`; texts of up to {longest} tokens are used"
            )
        })
    }

    fn bert(&self, tokenizer: &mut tokenizers::Tokenizer) -> Vec<String> {
        let own = match tokenizer.get_normalizer() {
            Some(NormalizerWrapper::BertNormalizer(own)) => Some(*own),
            _ => None,
        };
        let lower = self.flag("do_lower_case");
        let chinese = self.flag("tokenize_chinese_chars");
        let accents = self.config.get("strip_accents").map(Value::as_bool);
        let mut normalizer = own.unwrap_or_else(BertNormalizer::default);
        normalizer.lowercase = lower.unwrap_or(normalizer.lowercase);
        normalizer.handle_chinese_chars = chinese.unwrap_or(normalizer.handle_chinese_chars);
        normalizer.strip_accents = accents.unwrap_or(normalizer.strip_accents);
        let said = lower.is_some() || chinese.is_some() || accents.is_some();
        if said || own.is_some() {
            tokenizer.with_normalizer(Some(normalizer));
        }
        // What `transformers` takes where nothing is said.
        let strips = |accents: Option<bool>| accents.unwrap_or(normalizer.lowercase);
        let differs = match own.is_some() || said {
            true => [
                ("do_lower_case", lower.is_none() && !normalizer.lowercase),
                ("tokenize_chinese_chars", chinese.is_none() && !normalizer.handle_chinese_chars),
                (
                    "strip_accents",
                    accents.is_none() && strips(normalizer.strip_accents) != strips(None),
                ),
                ("clean_text", !normalizer.clean_text),
            ],
            false => [
                ("do_lower_case", !folds_case(tokenizer)),
                ("tokenize_chinese_chars", false),
                ("strip_accents", false),
                ("clean_text", false),
            ],
        };
        let usual = |name: &str| name != "strip_accents" || normalizer.lowercase;
        let differs = differs.into_iter().filter(|(_, differs)| *differs);
        differs.map(|(name, _)| unsaid(name, usual(name))).collect()
    }

    fn roberta(&self, tokenizer: &mut tokenizers::Tokenizer) -> Vec<String> {
        let Some(PreTokenizerWrapper::ByteLevel(own)) = tokenizer.get_pre_tokenizer() else {
            return Vec::new();
        };
        let mut own = *own;
        match self.flag("add_prefix_space") {
            Some(space) => {
                own.add_prefix_space = space;
                tokenizer.with_pre_tokenizer(Some(own));
                Vec::new()
            }
            None if own.add_prefix_space => vec![unsaid("add_prefix_space", false)],
            None => Vec::new(),
        }
    }

    /// A general tokenizer follows none of the settings of an architecture.
    fn ignored_case(&self, tokenizer: &tokenizers::Tokenizer) -> Vec<String> {
        let folds = folds_case(tokenizer);
        let byte_level = match tokenizer.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::ByteLevel(own)) => Some(own.add_prefix_space),
            _ => None,
        };
        let accents = match tokenizer.get_normalizer() {
            Some(NormalizerWrapper::BertNormalizer(own)) => {
                Some(own.strip_accents.unwrap_or(own.lowercase))
            }
            _ => None,
        };
        [
            ("do_lower_case", Some(folds)),
            ("add_prefix_space", byte_level),
            ("strip_accents", accents),
        ]
        .into_iter()
        .filter_map(|(setting, is)| {
            let said = self.flag(setting).filter(|said| is.is_some_and(|is| is != *said))?;
            Some(format!(
                "{CONFIG} has `{setting}: {said}`, tokenizer.json the opposite, which is followed"
            ))
        })
        .collect()
    }

    /// The tokens around a text are those of tokenizer.json.
    fn special_tokens(&self, tokenizer: &tokenizers::Tokenizer) -> Vec<String> {
        let around = tokenizer.encode("", true).map(|encoding| encoding.get_ids().to_vec());
        let around = around.unwrap_or_default();
        let unknown = match tokenizer.get_model() {
            ModelWrapper::WordPiece(model) => Some(model.unk_token.as_str()),
            ModelWrapper::WordLevel(model) => Some(model.unk_token.as_str()),
            ModelWrapper::BPE(model) => model.unk_token.as_deref(),
            ModelWrapper::Unigram(_) => None,
        };
        let mut remarks = Vec::new();
        for name in NAMED {
            for (file, object) in [(CONFIG, &self.config), (SPECIAL, &self.special)] {
                let Some(token) = object.get(name).and_then(content) else { continue };
                let id = tokenizer.token_to_id(token);
                let stands = match (name, around.as_slice()) {
                    ("cls_token", [first, ..]) => id == Some(*first),
                    ("sep_token", [.., last]) => id == Some(*last),
                    ("unk_token", _) if unknown.is_some() => unknown == Some(token),
                    _ => id.is_some(),
                };
                if !stands {
                    remarks.push(format!(
                        "{file} has `{name}: {token}`; tokenizer.json uses another, and is followed"
                    ));
                }
            }
        }
        remarks
    }

    /// Tokens that were added after tokenizer.json was written are unknown to it.
    fn added_tokens(&self, tokenizer: &tokenizers::Tokenizer) -> Vec<String> {
        let decoder = self.config.get("added_tokens_decoder").and_then(Value::as_object);
        let decoder = decoder.into_iter().flatten();
        let mut tokens: Vec<(&str, Option<u32>)> =
            decoder.filter_map(|(id, token)| Some((content(token)?, id.parse().ok()))).collect();
        tokens.extend(self.added.iter().map(|(token, id)| {
            (token.as_str(), id.as_u64().and_then(|id| u32::try_from(id).ok()))
        }));
        for object in [&self.config, &self.special] {
            for (key, value) in object {
                let more = ["additional_special_tokens", "extra_special_tokens"];
                match value {
                    Value::Array(list) if more.contains(&key.as_str()) => {
                        tokens.extend(list.iter().filter_map(|it| Some((content(it)?, None))));
                    }
                    Value::Object(map) if more.contains(&key.as_str()) => {
                        tokens.extend(map.values().filter_map(|it| Some((content(it)?, None))));
                    }
                    _ if key.ends_with("_token") && !NAMED.contains(&key.as_str()) => {
                        tokens.extend(content(value).map(|token| (token, None)));
                    }
                    _ => {}
                }
            }
        }
        let differs = |(token, id): &(&str, Option<u32>)| {
            let own = tokenizer.token_to_id(token);
            own.is_none() || id.is_some_and(|id| own != Some(id))
        };
        let names: BTreeSet<String> =
            tokens.into_iter().filter(differs).map(|(token, _)| format!("`{token}`")).collect();
        if names.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "tokens are added that tokenizer.json, which is followed, lacks or numbers otherwise: \
             {}",
            names.into_iter().collect::<Vec<_>>().join(", ")
        )]
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.config.get(name).and_then(Value::as_bool)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.config.get(name).and_then(Value::as_str)
    }
}

/// The special tokens with a name of their own.
const NAMED: [&str; 7] =
    ["cls_token", "sep_token", "unk_token", "pad_token", "mask_token", "bos_token", "eos_token"];

/// Says that a setting is left to its default in `transformers`, and is another in tokenizer.json.
fn unsaid(setting: &str, usual: bool) -> String {
    format!(
        "{CONFIG} does not say `{setting}`, for which `transformers` takes `{usual}`; \
         tokenizer.json, which has the opposite, is followed"
    )
}

/// Refuses values that would be passed over.
fn check(config: &Map<String, Value>) -> Result<(), TextError> {
    const FLAGS: [&str; 4] =
        ["do_lower_case", "tokenize_chinese_chars", "add_prefix_space", "split_special_tokens"];
    let sides = |value: &Value| matches!(value.as_str(), Some("left" | "right"));
    for (key, value) in config {
        let expected = match key.as_str() {
            key if FLAGS.contains(&key) && !value.is_boolean() => "`true` or `false`",
            "strip_accents" if !value.is_boolean() && !value.is_null() => {
                "`true`, `false` or `null`"
            }
            "truncation_side" | "padding_side" if !sides(value) => "`left` or `right`",
            "model_max_length" if !value.is_number() && !value.is_null() => "a number",
            _ => continue,
        };
        let (key, found) = (key.clone(), value.to_string());
        return Err(TextError::Setting { file: CONFIG.to_owned(), key, found, expected });
    }
    Ok(())
}

/// Returns the text of a token, which is written as a string or as an object.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content").and_then(Value::as_str))
}

/// Says whether upper and lower case give the same tokens.
pub(super) fn folds_case(tokenizer: &tokenizers::Tokenizer) -> bool {
    let ids = |text: &str| tokenizer.encode(text, false).map(|found| found.get_ids().to_vec());
    matches!((ids("a b the good"), ids("A B THE GOOD")), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::text::Tokenizer;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    /// The files of a recorded model's tokenizer.
    fn files(model: &str) -> Result<BTreeMap<String, Vec<u8>>, std::io::Error> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(model);
        let names = ["tokenizer.json", CONFIG];
        names.iter().map(|name| Ok((name.to_string(), fs_err::read(folder.join(name))?))).collect()
    }

    /// Changes a JSON file by dotted keys.
    fn change(bytes: &mut Vec<u8>, changes: &Value) -> Tested {
        let mut json: Value = serde_json::from_slice(bytes)?;
        for (key, value) in changes.as_object().into_iter().flatten() {
            let mut place = &mut json;
            for part in key.split('.') {
                place = &mut place[part];
            }
            *place = value.clone();
        }
        *bytes = serde_json::to_vec(&json)?;
        Ok(())
    }

    /// Compares with `transformers` (tests/record_tokenizer_settings.py).
    #[test]
    fn settings_are_followed_as_transformers_does() -> Tested {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizer_settings.json");
        let recorded: Value = serde_json::from_slice(&fs_err::read(path)?)?;
        let longest = recorded["longest"].as_u64().ok_or("no length")? as usize;
        let texts: Vec<String> = serde_json::from_value(recorded["texts"].clone())?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let cases = recorded["cases"].as_array().ok_or("no cases")?;
        assert!(cases.len() > 50);
        for case in cases {
            let model = case["model"].as_str().ok_or("no model")?;
            let mut files = files(model)?;
            change(files.entry("tokenizer.json".into()).or_default(), &case["changes"])?;
            let config = files.entry(CONFIG.into()).or_default();
            change(config, &case["settings"])?;
            change(config, &json!({"tokenizer_class": case["class"]}))?;
            let tokenizer = Tokenizer::read(&files, model.strip_prefix("tiny-"))?;
            let ids: Vec<Vec<u32>> =
                tokenizer.encode(&texts, longest)?.into_iter().map(|text| text.ids).collect();
            assert_eq!(json!(ids), case["ids"], "{case}");
        }
        Ok(())
    }

    fn remarks(model: &str, own: &Value, settings: &Value) -> Result<String, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut files = files(model).map_err(|error| text(&error))?;
        for (name, changes) in [("tokenizer.json", own), (CONFIG, settings)] {
            change(files.entry(name.into()).or_default(), changes).map_err(|error| text(&error))?;
        }
        let tokenizer = Tokenizer::read(&files, model.strip_prefix("tiny-"));
        Ok(tokenizer.map_err(|error| text(&error))?.remarks(32).join("\n"))
    }

    #[test]
    fn what_is_not_followed_is_said() -> Result<(), String> {
        let none = json!({});
        for model in ["tiny-bert", "tiny-distilbert", "tiny-roberta"] {
            assert_eq!(remarks(model, &none, &none)?, "", "{model}");
        }
        let added = json!({"added_tokens_decoder": {"900": {"content": "[NEW]"}}});
        for (model, own, settings, part) in [
            ("tiny-bert", none.clone(), json!({"do_lower_case": false}), "`do_lower_case: false`"),
            ("tiny-bert", none.clone(), json!({"strip_accents": false}), "`strip_accents: false`"),
            ("tiny-roberta", none.clone(), json!({"add_prefix_space": true}), "`add_prefix_space"),
            ("tiny-bert", none.clone(), json!({"cls_token": "[SEP]"}), "`cls_token: [SEP]`"),
            ("tiny-bert", none.clone(), json!({"pad_token": "[NONE]"}), "`pad_token: [NONE]`"),
            ("tiny-bert", none.clone(), json!({"padding_side": "left"}), "pads on the right"),
            ("tiny-bert", none.clone(), json!({"model_max_length": 16}), "up to 32 tokens are"),
            ("tiny-bert", none.clone(), added, "`[NEW]`"),
            ("tiny-bert", none.clone(), json!({"extra_special_tokens": ["<e>"]}), "`<e>`"),
            ("tiny-bert", none.clone(), json!({"e_token": {"content": "<e>"}}), "`<e>`"),
            ("tiny-bert", none.clone(), json!({"unk_token": "[MASK]"}), "`unk_token: [MASK]`"),
            ("tiny-bert", none.clone(), json!({"split_special_tokens": true}), "kept whole"),
            (
                "tiny-bert",
                json!({"normalizer.strip_accents": false}),
                json!({"tokenizer_class": "BertTokenizer"}),
                "not say `strip_accents`",
            ),
            (
                "tiny-bert",
                json!({"normalizer.clean_text": false}),
                json!({"tokenizer_class": "BertTokenizer"}),
                "not say `clean_text`",
            ),
            (
                "tiny-bert",
                json!({"normalizer.lowercase": false}),
                json!({"tokenizer_class": null}),
                "not say `do_lower_case`",
            ),
            (
                "tiny-roberta",
                json!({"pre_tokenizer.add_prefix_space": true}),
                json!({"tokenizer_class": null}),
                "not say `add_prefix_space`",
            ),
        ] {
            let found = remarks(model, &own, &settings)?;
            assert!(found.contains(part), "{settings}: {found:?}");
        }
        let settings = json!({"tokenizer_class": "BertTokenizer", "do_lower_case": false});
        assert_eq!(remarks("tiny-bert", &none, &settings)?, "", "what is followed is not said");
        for settings in [
            json!({"do_lower_case": "false"}),
            json!({"truncation_side": "LEFT"}),
            json!({"strip_accents": 1}),
            json!({"model_max_length": "8"}),
        ] {
            let refused = remarks("tiny-bert", &none, &settings).err().unwrap_or_default();
            assert!(refused.contains("; expected "), "{settings}: {refused:?}");
        }
        Ok(())
    }
}
