//! Tokenizers without a tokenizer.json beside `transformers` (tests/record_tokenizers.py).

use std::path::{Path, PathBuf};

use pipe::model::pretrained::tokenizer_files;
use pipe::text::{TextError, Tokenizer};
use serde_json::Value;
use sha2::{Digest, Sha256};

type Tested<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers")
}

fn json(path: &Path) -> Tested<Value> {
    Ok(serde_json::from_slice(&fs_err::read(path)?)?)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Knuth's linear congruential generator; its upper bits choose.
struct Generator(u64);

impl Generator {
    fn below(&mut self, number: usize) -> usize {
        let (factor, addend) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        self.0 = self.0.wrapping_mul(factor).wrapping_add(addend);
        (self.0 >> 33) as usize % number
    }
}

/// The texts that the script made, by the same rule.
fn texts() -> Tested<Vec<String>> {
    const SPACES: usize = 8;
    let recorded = json(&root().join("texts.json"))?;
    let groups: Vec<Vec<String>> = serde_json::from_value(recorded["groups"].clone())?;
    let number = |name: &str| recorded[name].as_u64().ok_or("no number").map(|it| it as usize);
    let (count, longest) = (number("texts")?, number("longest")?);
    let mut generator = Generator(7);
    let mut texts = vec![String::new()];
    for index in 1..count {
        let (mut group, mut pieces, mut least) = (None, 0, longest);
        if index + 1 < count {
            let own = if index % 97 == 1 { SPACES } else { index % groups.len() };
            group = Some(own).filter(|_| index % 3 != 0);
            (pieces, least) = (1 + generator.below(24), 0);
        }
        let (mut text, mut made) = (String::new(), 0);
        while made < pieces || text.len() < least {
            let source = &groups[group.unwrap_or_else(|| generator.below(groups.len()))];
            let piece = &source[generator.below(source.len())];
            if generator.below(10) < 7 && made > 0 {
                text.push(' ');
            }
            text.push_str(piece);
            made += 1;
        }
        texts.push(text);
    }
    let digest = hexadecimal(&Sha256::digest(texts.join("\n")));
    assert_eq!(Some(digest.as_str()), recorded["sha256"].as_str(), "the rule of the texts");
    Ok(texts)
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Tested<Vec<u32>> {
    match tokenizer.encode(&[text], usize::MAX) {
        Ok(mut found) => Ok(found.remove(0).ids),
        // Without special tokens, a text may have no tokens.
        Err(TextError::NoToken { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn every_kind_of_files_gives_the_ids_of_transformers() -> Tested {
    let texts = texts()?;
    let mut kinds = 0;
    let mut wrong = Vec::new();
    for entry in fs_err::read_dir(root())? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        kinds += 1;
        let expected = json(&folder.join("expected.json"))?;
        let config = folder.join("config.json");
        let config = if config.is_file() { json(&config)? } else { Value::Null };
        let files = tokenizer_files(&folder)?;
        let tokenizer = Tokenizer::read(&files, config["model_type"].as_str())?;
        let digests = expected["digests"].as_str().ok_or("no digests")?;
        assert_eq!(digests.len(), 8 * texts.len());
        for (index, text) in texts.iter().enumerate() {
            let found = ids(&tokenizer, text)?;
            if let Some(whole) = expected["ids"].get(index) {
                let whole: Vec<u32> = serde_json::from_value(whole.clone())?;
                if found != whole {
                    wrong.push(format!("{}: {text:?}: {found:?}, {whole:?}", folder.display()));
                    continue;
                }
            }
            let words: Vec<String> = found.iter().map(u32::to_string).collect();
            let digest = hexadecimal(&Sha256::digest(words.join(" "))[..4]);
            if digest != digests[8 * index..8 * index + 8] {
                let start: String = text.chars().take(60).collect();
                wrong.push(format!("{}: text {index}, {start:?}", folder.display()));
            }
        }
    }
    assert!(kinds >= 20, "{kinds} kinds");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
