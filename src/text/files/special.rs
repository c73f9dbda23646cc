//! The special and added tokens that the files beside a vocabulary name, in the order in which
//! `transformers` adds them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::text::error::TextError;

pub(super) const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// The special tokens with a name, in the order in which they are added.
pub(super) const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A token, and how a text is searched for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    /// Whether it is searched in the normalized text; said by few files.
    normalized: Option<bool>,
    special: bool,
    /// Whether the file gives its text alone.
    pub bare: bool,
}

impl Token {
    /// A special token of which only the text is known.
    pub(super) fn bare(content: &str) -> Token {
        Token {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special: true,
            bare: true,
        }
    }

    /// A piece of a SentencePiece model that is never cut.
    pub(super) fn piece(content: &str, special: bool) -> Token {
        Token { normalized: Some(false), special, bare: false, ..Token::bare(content) }
    }

    /// Includes the space before the token, as mask tokens do.
    pub(super) fn with_space_before(mut self) -> Token {
        self.lstrip = true;
        self
    }

    fn read(value: &Value) -> Option<Token> {
        if let Some(text) = value.as_str() {
            return Some(Token::bare(text));
        }
        let flag = |name: &str| value.get(name).and_then(Value::as_bool);
        Some(Token {
            content: value.get("content")?.as_str()?.to_owned(),
            single_word: flag("single_word").unwrap_or(false),
            lstrip: flag("lstrip").unwrap_or(false),
            rstrip: flag("rstrip").unwrap_or(false),
            normalized: flag("normalized"),
            special: flag("special").unwrap_or(false),
            bare: false,
        })
    }

    fn added(&self, special: bool) -> AddedToken {
        AddedToken::from(self.content.clone(), special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!special))
    }
}

/// The settings of a tokenizer.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    values: Map<String, Value>,
    /// Special tokens by name, `None` where a file says that there is none.
    named: BTreeMap<String, Option<Token>>,
    /// More tokens with names of their own.
    own: Vec<Token>,
    /// Special tokens without a name.
    extra: Option<Vec<Token>>,
    /// The same from a file that yields to a SentencePiece model.
    additional: Vec<Token>,
    /// Tokens with the ids that they should have.
    decoder: BTreeMap<u32, Token>,
}

impl Settings {
    /// Reads the files beside a vocabulary, by name. With `added_tokens_decoder` in
    /// tokenizer_config.json the two older files are passed over.
    pub(super) fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Settings, TextError> {
        let object = |name: &str| match files.get(name) {
            None => Ok(Map::new()),
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| TextError::Settings {
                file: name.to_owned(),
                detail: error.to_string(),
            }),
        };
        let mut settings = Settings { values: object(CONFIG)?, ..Settings::default() };
        let values = settings.values.clone();
        settings.take_tokens(&values);
        let names = ["extra_special_tokens", "additional_special_tokens"];
        let mut lists = names.iter().filter_map(|name| list(values.get(*name)?));
        settings.extra = lists.find(|list| !list.is_empty());
        if settings.extra.is_none() && names.iter().any(|name| values.contains_key(*name)) {
            settings.extra = Some(Vec::new());
        }
        let decoder = settings.values.get("added_tokens_decoder").and_then(Value::as_object);
        match decoder.cloned() {
            Some(decoder) => {
                for (id, token) in &decoder {
                    settings.number(CONFIG, id.parse().ok(), id, Token::read(token))?;
                }
            }
            None => {
                let mut special = object(SPECIAL)?;
                for value in special.values_mut() {
                    if let Value::Object(token) = value
                        && token.contains_key("content")
                    {
                        token.insert("special".into(), true.into());
                    }
                }
                settings.take_tokens(&special);
                if let Some(more) = special.get("extra_special_tokens").and_then(list) {
                    settings.extra.get_or_insert_default().extend(more);
                }
                settings.additional =
                    special.get("additional_special_tokens").and_then(list).unwrap_or_default();
                settings.take_added(&object(ADDED)?)?;
            }
        }
        for token in settings.named.values_mut().flatten() {
            let numbered = settings.decoder.values().find(|it| it.content == token.content);
            if let Some(numbered) = numbered {
                *token = numbered.clone();
            }
        }
        Ok(settings)
    }

    /// Returns a switch, or what `transformers` takes where nothing is said.
    pub(super) fn flag(&self, name: &str, usual: bool) -> bool {
        self.values.get(name).and_then(Value::as_bool).unwrap_or(usual)
    }

    /// Returns a setting as it is written.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Returns a special token by its name, or the usual one.
    pub(super) fn token(&self, name: &str, usual: &str) -> Option<Token> {
        match self.named.get(name) {
            Some(said) => said.clone(),
            None => Some(usual).filter(|usual| !usual.is_empty()).map(Token::bare),
        }
    }

    /// Returns the tokens with the ids that they should have.
    pub(super) fn decoder(&self) -> &BTreeMap<u32, Token> {
        &self.decoder
    }

    /// Returns the tokens that are added to a vocabulary: those with ids, those with names, and
    /// further ones, which are `pieces` of the model if no setting names any. Tokens with ids are
    /// searched for in the text as it is if `raw`.
    pub(super) fn added(
        &self,
        named: &BTreeMap<&'static str, Token>,
        pieces: &[Token],
        raw: bool,
    ) -> Vec<AddedToken> {
        let mut decoder = self.decoder.clone();
        for token in decoder.values_mut().filter(|_| raw) {
            token.normalized = Some(false);
        }
        let mut list: Vec<&Token> = decoder.values().collect();
        let numbered: BTreeSet<&str> = list.iter().map(|token| token.content.as_str()).collect();
        let in_order = NAMES.iter().filter_map(|name| named.get(name));
        let named: Vec<&Token> = in_order.chain(&self.own).collect();
        let is_named: BTreeSet<&str> = named.iter().map(|token| token.content.as_str()).collect();
        let further = if pieces.is_empty() { &self.additional } else { pieces };
        let extra = self.extra.as_deref().unwrap_or(further);
        for token in named.into_iter().chain(extra) {
            if !numbered.contains(token.content.as_str()) && !list.contains(&token) {
                list.push(token);
            }
        }
        let added = |token: &Token| {
            token.added(token.special || token.bare || is_named.contains(token.content.as_str()))
        };
        list.into_iter().map(added).collect()
    }

    fn take_tokens(&mut self, object: &Map<String, Value>) {
        for (key, value) in object {
            match key.as_str() {
                name if NAMES.contains(&name) => {
                    self.named.insert(key.clone(), Token::read(value));
                }
                "extra_special_tokens" => {
                    let tokens = value.as_object().into_iter().flat_map(Map::values);
                    self.own.extend(tokens.filter_map(Token::read));
                }
                _ if key.ends_with("_token") => self.own.extend(Token::read(value)),
                _ => {}
            }
        }
    }

    fn take_added(&mut self, added: &Map<String, Value>) -> Result<(), TextError> {
        let special: BTreeSet<String> = self
            .named
            .values()
            .flatten()
            .chain(self.extra.iter().flatten())
            .map(|token| token.content.clone())
            .collect();
        for (content, id) in added {
            let special = special.contains(content);
            let token =
                Token { special, normalized: Some(!special), bare: false, ..Token::bare(content) };
            let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
            self.number(ADDED, number, &id.to_string(), Some(token))?;
        }
        Ok(())
    }

    fn number(
        &mut self,
        file: &str,
        id: Option<u32>,
        written: &str,
        token: Option<Token>,
    ) -> Result<(), TextError> {
        let Some((id, token)) = id.zip(token) else {
            let detail = format!("`{written}` does not give a token its number");
            return Err(TextError::File { file: file.to_owned(), detail });
        };
        self.decoder.insert(id, token);
        Ok(())
    }
}

/// Returns the tokens of a list.
fn list(value: &Value) -> Option<Vec<Token>> {
    Some(value.as_array()?.iter().filter_map(Token::read).collect())
}
