//! A SentencePiece model that is read by its own settings, where no architecture has rules for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::model_file::{BPE, ModelFile, NORMAL, Normalizer, Piece, UNIGRAM, USER_DEFINED};
use super::parts::{Around, Parts};
use super::special::{Settings, Token};
use super::unigram::{Source, extra, pieces, replace, replace_all, sequence, unigram};
use super::word_piece::named;
use crate::text::error::TextError;

/// The most characters of a piece of a BPE model: each of its halves is looked up.
const LONGEST_PIECE: usize = 256;

/// Returns the parts of a tokenizer that encodes as SentencePiece does.
pub(super) fn general(source: &Source<'_>, settings: &Settings) -> Result<Parts, TextError> {
    let (file, trainer) = (&source.file, source.file.trainer());
    let rules = file.normalizer();
    let legacy = settings.flag("legacy", true);
    let tokens = names(file, settings);
    // The tokenizer cuts around the pieces of users by itself.
    let is_users = |piece: &Piece| piece.kind == USER_DEFINED;
    let user: BTreeSet<usize> = file
        .pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| is_users(piece))
        .map(|(id, _)| id)
        .collect();
    let model = match trainer.model_type {
        UNIGRAM => {
            let vocabulary: Vec<(String, f64)> = pieces(file).collect();
            let unknown = usize::try_from(trainer.unk_id).unwrap_or(usize::MAX);
            unigram(&vocabulary, unknown, trainer.byte_fallback)
        }
        BPE => bpe(source, &tokens, !user.is_empty())?,
        other => {
            let detail = format!("it is a model of kind {other}; expected Unigram or BPE");
            return Err(source.wrong(detail));
        }
    };
    let named = {
        let usual = |id: i32, piece: &str| if id >= 0 { piece.to_owned() } else { String::new() };
        let first = usual(trainer.bos_id, &trainer.bos_piece);
        let last = usual(trainer.eos_id, &trainer.eos_piece);
        let unknown = usual(trainer.unk_id, &trainer.unk_piece);
        named(settings, [&first, &last, &unknown, "", "", "", ""])
    };
    let is_free = |token: &Token| {
        !file.pieces.iter().any(|piece| is_users(piece) && piece.piece == token.content)
    };
    let user: Vec<&str> = user.into_iter().map(|id| tokens[id].as_str()).collect();
    Ok(Parts {
        model,
        normalizer: normalizer(source, &rules, legacy)?,
        pre_tokenizer: pre_tokenizer(&rules, legacy, &user),
        decoder: decoder(&rules, trainer.byte_fallback),
        named,
        extra: extra(file).into_iter().filter(is_free).collect(),
        raw: rules.add_dummy_prefix,
        around: Around::Asked {
            first: settings.flag("add_bos_token", false),
            last: settings.flag("add_eos_token", false),
        },
    })
}

/// Returns the tokens of a model. `added_tokens_decoder` may give pieces of a BPE model other
/// names.
fn names(file: &ModelFile, settings: &Settings) -> Vec<String> {
    let mut tokens: Vec<String> = file.pieces.iter().map(|piece| piece.piece.clone()).collect();
    if file.trainer().model_type != BPE {
        return tokens;
    }
    let given: BTreeMap<usize, &str> = settings
        .decoder()
        .iter()
        .map(|(id, token)| (*id as usize, token.content.as_str()))
        .collect();
    let kept: BTreeSet<String> = tokens
        .iter()
        .enumerate()
        .filter(|(id, _)| !given.contains_key(id))
        .map(|(_, token)| token.clone())
        .collect();
    for (id, name) in given {
        if let Some(token) = tokens.get_mut(id).filter(|_| !kept.contains(name)) {
            *token = name.to_owned();
        }
    }
    tokens
}

/// Returns a BPE model: a pair is merged the earlier the better the score of what it makes.
fn bpe(source: &Source<'_>, tokens: &[String], whole: bool) -> Result<Value, TextError> {
    let trainer = source.file.trainer();
    let vocabulary: HashMap<&str, usize> =
        tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let normal: HashMap<&str, (f32, usize)> = tokens
        .iter()
        .zip(&source.file.pieces)
        .enumerate()
        .filter(|(_, (_, piece))| piece.kind == NORMAL)
        .map(|(id, (token, piece))| (token.as_str(), (piece.score, id)))
        .collect();
    let mut merges: Vec<(f32, usize, &str, &str)> = Vec::new();
    for (&token, &(score, id)) in &normal {
        if token.chars().nth(LONGEST_PIECE).is_some() {
            let detail = format!("its piece {id} has more than {LONGEST_PIECE} characters");
            return Err(source.wrong(detail));
        }
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if normal.contains_key(left) && normal.contains_key(right) {
                merges.push((-score, id, left, right));
            }
        }
    }
    merges.sort_by(|one, other| {
        let rest = |it: &(f32, usize, &str, &str)| (it.1, it.2.to_owned(), it.3.to_owned());
        one.0.total_cmp(&other.0).then_with(|| rest(one).cmp(&rest(other)))
    });
    let merges: Vec<[&str; 2]> =
        merges.into_iter().map(|(_, _, left, right)| [left, right]).collect();
    let vocabulary: Map<String, Value> =
        vocabulary.into_iter().map(|(token, id)| (token.to_owned(), id.into())).collect();
    Ok(json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": trainer.unk_piece,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": true,
        "byte_fallback": trainer.byte_fallback,
        "ignore_merges": whole,
        "vocab": vocabulary,
        "merges": merges,
    }))
}

/// Follows the order of SentencePiece.
fn normalizer(source: &Source<'_>, rules: &Normalizer, legacy: bool) -> Result<Value, TextError> {
    let mut list: Vec<Value> = source.charsmap()?.into_iter().collect();
    if rules.remove_extra_whitespaces {
        list.extend([replace_all(r"\A +| +\z", ""), replace_all(" {2,}", " ")]);
    }
    if rules.escape_whitespaces {
        list.push(replace(" ", "▁"));
    }
    if rules.add_dummy_prefix && legacy {
        // The space before a text is put there even where the text begins with one.
        list.push(replace_all(r"\A▁", "▁▁"));
    }
    Ok(sequence("normalizers", list))
}

fn pre_tokenizer(rules: &Normalizer, legacy: bool, user: &[&str]) -> Value {
    let mut list = Vec::new();
    if rules.add_dummy_prefix {
        let scheme = if legacy { "always" } else { "first" };
        list.push(json!({
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": scheme,
            "split": false,
        }));
    }
    if !user.is_empty() {
        // The longest one first, as SentencePiece looks for them.
        let mut user = user.to_vec();
        user.sort_by_key(|token| std::cmp::Reverse(token.chars().count()));
        let pattern: Vec<String> = user.into_iter().map(escaped).collect();
        list.push(json!({
            "type": "Split",
            "pattern": {"Regex": pattern.join("|")},
            "behavior": "Isolated",
            "invert": false,
        }));
    }
    if list.is_empty() { Value::Null } else { sequence("pretokenizers", list) }
}

fn decoder(rules: &Normalizer, bytes: bool) -> Value {
    let mut list = vec![replace("▁", " ")];
    if bytes {
        list.push(json!({"type": "ByteFallback"}));
    }
    if rules.add_dummy_prefix || bytes {
        list.push(json!({"type": "Fuse"}));
    }
    if rules.add_dummy_prefix {
        list.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    sequence("decoders", list)
}

/// Returns a pattern that matches a text and nothing else.
fn escaped(text: &str) -> String {
    // Not every sign may be escaped: `\<` is the beginning of a word.
    let escape = |c: char| match r"\.+*?()|[]{}^$#&-~".contains(c) {
        true => format!("\\{c}"),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}
