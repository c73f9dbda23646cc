//! From a tokenizer's files to a tokenizer.json.

use std::collections::BTreeMap;

use serde_json::Value;

use super::class::{Class, sentence_piece};
use super::model_file::ModelFile;
use super::special::Settings;
use super::unigram::Source;
use super::{byte_level, sentence_piece as own, unigram, word_piece};
use crate::base::contain::contained;
use crate::text::error::TextError;

/// Makes a tokenizer.json of the other files of a tokenizer, by name. `config` is the model's
/// config.json, whose architecture tells the class where no file names one.
pub fn tokenizer_json(
    files: &BTreeMap<String, Vec<u8>>,
    config: &Value,
) -> Result<Vec<u8>, TextError> {
    contained(|| convert(files, config)).unwrap_or_else(|panic| {
        Err(TextError::Inconsistent(format!("one of their rules is broken ({panic})")))
    })
}

fn convert(files: &BTreeMap<String, Vec<u8>>, config: &Value) -> Result<Vec<u8>, TextError> {
    let settings = Settings::read(files)?;
    let class = Class::find(files, &settings, config)?;
    class.check(files)?;
    let parts = match class {
        Class::Bert => word_piece::bert(files, &settings)?,
        Class::Mpnet => word_piece::mpnet(files, &settings)?,
        Class::Roberta => byte_level::roberta(files, &settings)?,
        Class::Deberta => byte_level::deberta(files, &settings)?,
        Class::ModernBert => byte_level::modern_bert(files, &settings)?,
        Class::XlmRoberta => unigram::xlm_roberta(&source(files, "")?, &settings)?,
        Class::Camembert => unigram::camembert(&source(files, "")?, &settings)?,
        Class::Albert => unigram::albert(&source(files, "spiece.model")?, &settings)?,
        Class::DebertaV2 => unigram::deberta_v2(&source(files, "spm.model")?, &settings)?,
        Class::General => own::general(&source(files, "tokenizer.model")?, &settings)?,
    };
    let added = settings.added(&parts.named, &parts.extra, parts.raw);
    let wrong = |error: tokenizers::Error| TextError::Inconsistent(error.to_string());
    let tokenizer = parts.assemble(&added).map_err(wrong)?;
    Ok(tokenizer.to_string(false).map_err(wrong)?.into_bytes())
}

/// Reads the SentencePiece model among the files.
fn source<'a>(files: &'a BTreeMap<String, Vec<u8>>, usual: &str) -> Result<Source<'a>, TextError> {
    let (name, bytes) = sentence_piece(files, usual).unwrap_or_default();
    Ok(Source { name, file: ModelFile::read(name, bytes)? })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde_json::json;

    use super::super::model_file::{Normalizer, Piece, Trainer};
    use super::*;

    type Files = BTreeMap<String, Vec<u8>>;
    type List<'a> = &'a [(&'a str, &'a [u8])];

    fn files(list: List<'_>) -> Files {
        list.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
    }

    fn refusal(list: List<'_>, model_type: &str) -> String {
        let made = tokenizer_json(&files(list), &json!({"model_type": model_type}));
        made.err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn model(change: impl FnOnce(&mut ModelFile)) -> Vec<u8> {
        let piece = |piece: &str, kind: i32| Piece { piece: piece.to_owned(), score: -1.0, kind };
        let mut file = ModelFile {
            pieces: vec![
                piece("<unk>", 2),
                piece("<s>", 3),
                piece("</s>", 3),
                piece("\u{2581}a", 1),
            ],
            trainer: Some(Trainer::default()),
            normalizer: Some(Normalizer::default()),
        };
        change(&mut file);
        file.encode_to_vec()
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let class = br#"{"tokenizer_class": "PhobertTokenizer"}"#;
        let byte_class = br#"{"tokenizer_class": "RobertaTokenizerFast"}"#;
        let cases: &[(List<'_>, &str)] = &[
            (&[("vocab.txt", b"a"), ("tokenizer_config.json", class)], "class `PhobertTokenizer`"),
            (&[("vocab.txt", b"a"), ("tokenizer_config.json", byte_class)], "made of `vocab.json`"),
            (&[("vocab.txt", b"a\nb\n")], "neither `[CLS]` and `[SEP]`"),
            (&[("vocab.txt", b"[CLS]\n[SEP]\n\xff\n")], "is not text"),
            (&[("vocab.json", b"{}")], "`vocab.json`, but no `merges.txt`"),
            (&[("merges.txt", b"")], "`merges.txt`, but no `vocab.json`"),
            (&[("vocab.json", b"{}"), ("merges.txt", b"")], "neither `<s>`"),
            (&[("vocab.json", b"{\"<s>\": -1}"), ("merges.txt", b"")], "has `<s>: -1`"),
            (&[("vocab.json", b"{\"<s>\": 1}"), ("merges.txt", b"\na b c\n")], "line 1 is not"),
            (&[("vocab.json", b"{\"<s>\": 1}"), ("merges.txt", b"a b\n")], "do not fit"),
            (&[("spiece.model", b"version https://git-lfs.github.com/spec/v1\n")], "Git LFS"),
            (&[("spiece.model", b"")], "no pieces"),
            (&[("spiece.model", b"\x0a\xff\xff\xff")], "not a SentencePiece model ("),
            (&[("vocab.txt", b"[CLS]\n[SEP]"), ("added_tokens.json", b"{\"a\": -1}")], "`-1` does"),
        ];
        for (list, part) in cases {
            let found = refusal(list, "");
            assert!(found.contains(part), "{part}: {found:?}");
        }
    }

    #[test]
    fn broken_models_are_refused() {
        let whole = model(|_| ());
        for model_type in ["", "xlm-roberta", "camembert", "albert", "deberta-v2"] {
            assert_eq!(refusal(&[("spm.model", &whole)], model_type), "", "{model_type}");
        }
        let unknown = model(|file| file.trainer.get_or_insert_default().unk_id = 9);
        assert!(refusal(&[("spm.model", &unknown)], "").contains("do not fit together"));
        type Change = fn(&mut ModelFile);
        let cases: [(Change, &str); 4] = [
            (|file| file.pieces[3].piece.clear(), "its piece 3 is empty"),
            (|file| file.pieces[3].score = f32::NAN, "its piece 3 is empty or has no score"),
            (|file| file.trainer.get_or_insert_default().model_type = 4, "kind 4"),
            (
                // Four bytes that ask for 16 GiB.
                |file| {
                    let rules = file.normalizer.get_or_insert_default();
                    rules.precompiled_charsmap = vec![0xff, 0xff, 0xff, 0xff, 0];
                },
                "rules for characters are broken",
            ),
        ];
        for (change, part) in cases {
            let found = refusal(&[("spm.model", &model(change))], "");
            assert!(found.contains(part), "{part}: {found:?}");
        }
        let bpe = model(|file| file.trainer.get_or_insert_default().model_type = 2);
        assert_eq!(refusal(&[("spm.model", &bpe)], ""), "");
        assert!(refusal(&[("spm.model", &bpe)], "albert").contains("no Unigram model"));
        for cut in 0..whole.len() {
            let _ = refusal(&[("spm.model", &whole[..cut])], "");
        }
    }
}
