//! What a reference to a model leads to, for people and programs.

use std::path::Path;

use fs_err as fs;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use super::contract::error::StageError;
use super::inference::predict::{longest, tokenizer};
use crate::base::limit;
use crate::base::report::Report;
use crate::data::Seen;
use crate::engine::EngineError;
use crate::model::pretrained::{CONFIG, SEEN_TEXTS, model_files};
use crate::model::sentences::Sentences;
use crate::model::source::resolve;
use crate::model::{Head, HeadForm, ModelError, Pretrained};

/// What is known of a model.
#[derive(Debug, PartialEq, Serialize)]
pub struct About {
    pub reference: String,
    /// Where its files lie on this machine.
    pub folder: String,
    /// `model_type` of config.json.
    pub architecture: Option<String>,
    /// The first of `architectures` in config.json.
    pub class: Option<String>,
    pub licence: Option<String>,
    /// Why it cannot be trained on.
    pub problem: Option<String>,
    /// What helps against that.
    pub hint: Option<String>,
    /// What is known of one that can be trained on.
    pub encoder: Option<Encoder>,
}

/// What is known of an encoder that is read whole.
#[derive(Debug, PartialEq, Serialize)]
pub struct Encoder {
    pub parameters: u64,
    /// Of the files that make up the model.
    pub bytes: u64,
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    /// Whether it is a folder of sentence-transformers.
    pub has_modules: bool,
    /// What makes a text's vector, where it can be computed.
    pub vector: Option<String>,
    pub vector_width: Option<usize>,
    pub prompts: IndexMap<String, String>,
    pub default_prompt: Option<String>,
    /// Such as `WordPiece`.
    pub tokenizer: Option<String>,
    pub vocabulary: usize,
    pub lower_case: bool,
    /// The longest text in tokens.
    pub positions: usize,
    pub max_seq_length: Option<usize>,
    /// What `head: auto` gives, if it gives anything.
    pub head: Option<String>,
    /// Why the modules over the encoder are not computed.
    pub modules_problem: Option<String>,
    /// The classes of a trained head.
    pub classes: Option<Vec<String>>,
    /// The texts that it was trained on by `pipe`, and those that guided it.
    pub seen_train: usize,
    pub seen_dev: usize,
}

impl About {
    /// Looks at a model, and fetches it if need be. Relative folders start at `base`.
    ///
    /// # Errors
    ///
    /// Fails where the reference leads to no folder with a config.json.
    pub fn of(reference: &str, base: &Path, report: &dyn Report) -> Result<About, StageError> {
        let folder = resolve::resolve(reference, base, report)?;
        let config = raw_config(&folder)?;
        let text = |field: &Value| field.as_str().map(str::to_owned);
        let read = Encoder::of(&folder);
        let (encoder, error) = match read {
            Ok(encoder) => (Some(encoder), None),
            Err(error) => (None, Some(error)),
        };
        Ok(About {
            reference: reference.to_owned(),
            folder: folder.display().to_string(),
            architecture: text(&config["model_type"]),
            class: text(&config["architectures"][0]),
            licence: licence(&folder),
            hint: error.as_ref().and_then(|error| error.help()).map(|help| help.to_string()),
            problem: error.map(|error| error.to_string()),
            encoder,
        })
    }
}

impl Encoder {
    fn of(folder: &Path) -> Result<Encoder, StageError> {
        let pretrained = Pretrained::read(folder)?;
        // Numbers that are not finite are found where they are read.
        pretrained.weights.all()?;
        let config = &pretrained.config;
        let sizes = model_files(folder)?
            .into_iter()
            .map(|path| Ok(fs::metadata(path)?.len()))
            .collect::<Result<Vec<u64>, std::io::Error>>()
            .map_err(ModelError::from)?;
        let tokenizer = tokenizer(&pretrained)?;
        let form = pretrained.form(Head::Auto);
        let said = pretrained.head();
        let kept = |form: &HeadForm| said.form() == Ok(form) && said.classes().is_some();
        let has_head = pretrained.weights.names().any(|name| name.starts_with("classifier"));
        let classes = match &form {
            Ok(form) if has_head && kept(form) => said.classes().map(<[String]>::to_vec),
            _ => None,
        };
        let embedder = pretrained.embedder(Head::Auto);
        let sentences = &pretrained.sentences;
        let prompts = sentences.prompts().into_iter();
        let seen = Seen::read(&folder.join(SEEN_TEXTS))?;
        let (seen_train, seen_dev) = seen.counts();
        Ok(Encoder {
            parameters: pretrained.weights.count(),
            bytes: sizes.into_iter().sum(),
            layers: config.layers,
            width: config.hidden,
            heads: config.heads,
            has_modules: sentences.above.is_some(),
            vector_width: embedder.as_ref().ok().map(|embedder| embedder.width(config.hidden)),
            vector: embedder.as_ref().ok().map(ToString::to_string),
            modules_problem: embedder.err().map(|error| error.to_string()),
            prompts: prompts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
            default_prompt: sentences.default_prompt().map(str::to_owned),
            tokenizer: kind_of_tokenizer(&pretrained),
            vocabulary: config.vocabulary,
            lower_case: sentences.lowers() || tokenizer.folds_case(),
            positions: longest(config, usize::MAX),
            max_seq_length: sentences.max_seq_length(),
            head: form.ok().map(|form| match form {
                HeadForm::Own => "the architecture's own".to_owned(),
                HeadForm::Linear(embedder) => format!("linear over {embedder}"),
                HeadForm::Nearest(embedder, nearest) => {
                    format!("the {} nearest of {} texts by {embedder}", nearest.k, nearest.texts)
                }
            }),
            classes,
            seen_train,
            seen_dev,
        })
    }
}

/// Reads the config.json of the encoder in a folder.
fn raw_config(folder: &Path) -> Result<Value, StageError> {
    let encoder = Sentences::read(folder)?.encoder(folder);
    let path = encoder.join(CONFIG);
    if !path.is_file() {
        let missing = ModelError::MissingFile { folder: encoder, file: CONFIG.to_owned() };
        return Err(Box::new(missing));
    }
    limit::check_json(&path).map_err(ModelError::from)?;
    let bytes = fs::read(&path).map_err(EngineError::from)?;
    let wrong = |error: serde_json::Error| {
        Box::new(ModelError::Json { path, detail: error.to_string() }) as StageError
    };
    serde_json::from_slice(&bytes).map_err(wrong)
}

/// Returns the kind of a tokenizer's model, as tokenizer.json names it.
fn kind_of_tokenizer(pretrained: &Pretrained) -> Option<String> {
    let bytes = pretrained.files.get("tokenizer.json")?;
    let rules: Value = serde_json::from_slice(bytes).ok()?;
    rules["model"]["type"].as_str().map(str::to_owned)
}

/// Returns the licence that the head of a README.md names.
fn licence(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("README.md")).ok()?;
    let mut lines = text.lines();
    lines.next().filter(|line| line.trim() == "---")?;
    let head = lines.take_while(|line| line.trim() != "---");
    let named = head.filter_map(|line| line.strip_prefix("license:"));
    let named = named.map(|name| name.trim().trim_matches(['"', '\'']).to_owned());
    named.into_iter().find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_stands_in_the_head() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        for (text, expected) in [
            ("---\nlanguage: en\nlicense: apache-2.0\n---\nlicense: mit\n", Some("apache-2.0")),
            ("---\nlicense: \"mit\"\n---\n", Some("mit")),
            ("---\nlanguage: en\n---\nlicense: mit\n", None),
            ("license: mit\n", None),
            ("", None),
        ] {
            fs::write(folder.path().join("README.md"), text)?;
            assert_eq!(licence(folder.path()).as_deref(), expected, "{text}");
        }
        Ok(())
    }
}
