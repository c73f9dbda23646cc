//! The parts of a tokenizer.json, and how they are put together.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::tokenizer::AddedToken;

use super::special::Token;

/// A tokenizer before its special tokens are added.
pub(super) struct Parts {
    pub model: Value,
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub decoder: Value,
    /// The special tokens by name, such as `cls_token`.
    pub named: BTreeMap<&'static str, Token>,
    /// Further tokens, unless the settings name some.
    pub extra: Vec<Token>,
    /// Whether tokens with ids are searched for in the text as it is.
    pub raw: bool,
    pub around: Around,
}

/// The tokens around a text, by their names among the special tokens.
pub(super) enum Around {
    /// One before and one after, the second text with token type 1.
    Typed(&'static str, &'static str),
    /// The same with one token type, and with two separators between a pair.
    Doubled(&'static str, &'static str),
    /// RoBERTa's own rule, which also moves offsets.
    Roberta { trim_offsets: bool, add_prefix_space: bool },
    /// Those that the settings ask for.
    Asked { first: bool, last: bool },
}

impl Parts {
    /// Puts a tokenizer together: `added` become part of its vocabulary, which tells the ids of
    /// the tokens around a text.
    pub(super) fn assemble(self, added: &[AddedToken]) -> tokenizers::Result<Tokenizer> {
        let json = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": null,
            "decoder": self.decoder,
            "model": self.model,
        });
        let mut tokenizer = Tokenizer::from_bytes(serde_json::to_vec(&json)?)?;
        tokenizer.add_tokens(added);
        let around = self.around.rule(&self.named, &tokenizer)?;
        tokenizer.with_post_processor(Some(serde_json::from_value::<
            tokenizers::PostProcessorWrapper,
        >(around)?));
        Ok(tokenizer)
    }
}

impl Around {
    fn rule(
        &self,
        named: &BTreeMap<&'static str, Token>,
        tokenizer: &Tokenizer,
    ) -> tokenizers::Result<Value> {
        let token = |name: &str| {
            let content = named.get(name).map(|token| token.content.clone());
            let content = content.ok_or_else(|| format!("there is no `{name}`"))?;
            let id = tokenizer.token_to_id(&content);
            Ok::<_, String>((id.ok_or_else(|| format!("`{content}` has no number"))?, content))
        };
        let piece =
            |content: &str, kind: u32| json!({"SpecialToken": {"id": content, "type_id": kind}});
        let text = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
        let template = |single: Vec<Value>, pair: Vec<Value>, tokens: &[&(u32, String)]| {
            let tokens: serde_json::Map<String, Value> = tokens
                .iter()
                .map(|(id, content)| {
                    let entry = json!({"id": content, "ids": [id], "tokens": [content]});
                    (content.clone(), entry)
                })
                .collect();
            json!({
                "type": "TemplateProcessing",
                "single": single,
                "pair": pair,
                "special_tokens": tokens,
            })
        };
        Ok(match self {
            Around::Typed(first, last) | Around::Doubled(first, last) => {
                let (first, last) = (token(first)?, token(last)?);
                let (a, b) = (first.1.as_str(), last.1.as_str());
                let kind = u32::from(matches!(self, Around::Typed(..)));
                let single = vec![piece(a, 0), text("A", 0), piece(b, 0)];
                let mut pair = single.clone();
                if matches!(self, Around::Doubled(..)) {
                    pair.push(piece(b, 0));
                }
                pair.extend([text("B", kind), piece(b, kind)]);
                template(single, pair, &[&first, &last])
            }
            Around::Roberta { trim_offsets, add_prefix_space } => {
                let (first, last) = (token("cls_token")?, token("sep_token")?);
                json!({
                    "type": "RobertaProcessing",
                    "sep": [last.1, last.0],
                    "cls": [first.1, first.0],
                    "trim_offsets": trim_offsets,
                    "add_prefix_space": add_prefix_space,
                })
            }
            Around::Asked { first, last } => {
                let first = first.then(|| token("bos_token")).transpose()?;
                let last = last.then(|| token("eos_token")).transpose()?;
                let one = |name: &str, kind: u32| {
                    let before = first.iter().map(|(_, content)| piece(content, kind));
                    let after = last.iter().map(|(_, content)| piece(content, kind));
                    before.chain([text(name, kind)]).chain(after).collect::<Vec<_>>()
                };
                let tokens: Vec<&(u32, String)> = first.iter().chain(&last).collect();
                template(one("A", 0), [one("A", 0), one("B", 1)].concat(), &tokens)
            }
        })
    }
}
