//! A Hugging Face model folder in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use ndarray::ArrayD;
use serde_json::{Map, Value};

use super::beside::{ADAPTER, Beside, SENTENCES};
use super::encoders::Config;
use super::error::ModelError;
use super::head::Head;
use super::network::{self, Network};
use super::pickled::is_pickled;
use super::pretrained_head;
pub use super::weights::Weights;
use super::{masked, weights};
use crate::base::limit;
use crate::text::files::tokenizer_json;

/// The tokenizer, whole.
pub const TOKENIZER: &str = "tokenizer.json";

/// The files beside config.json and the weights that belong to a model.
const TOKENIZER_FILES: [&str; 9] = [
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
];

/// The same, of a model without tokenizer.json.
pub const ONLY_WITHOUT: [&str; 2] = ["spm.model", "tokenizer.model"];

/// The files of which a tokenizer.json can be made.
const VOCABULARIES: [&str; 6] = [
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
];

/// What every model folder holds: the architecture and its sizes.
pub const CONFIG: &str = "config.json";

/// The texts that the model was trained on, where it was trained by `pipe`: whoever goes on from it
/// must not be scored on them.
pub const SEEN_TEXTS: &str = "seen_texts.parquet";

/// A pretrained encoder: configuration, weights and tokenizer files.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// What the layers need of config.json.
    pub config: Config,
    /// config.json as it was read, so that what `pipe` does not know survives a save.
    pub raw_config: Value,
    /// The parameters, named relative to the encoder: `embeddings.word_embeddings.weight`, whatever
    /// prefix (`bert.`) the file has; those of a classification head keep their names
    /// (`classifier.weight`).
    pub weights: Weights,
    /// The tensors of the files that were not read, by their names there.
    pub ignored: Vec<String>,
    /// Settings of other programs in the folder.
    pub beside: Beside,
    /// The other files that belong to the model (tokenizer.json, vocab.txt,
    /// special_tokens_map.json, ...), by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Pretrained {
    /// Reads a Hugging Face folder, with the classification head that it may have.
    pub fn read(folder: &Path) -> Result<Pretrained, ModelError> {
        Pretrained::read_with(folder, head_names)
    }

    /// Reads a Hugging Face folder, with the masked-language-model head that it may have in place
    /// of a classification head.
    pub fn read_with_masked_head(folder: &Path) -> Result<Pretrained, ModelError> {
        Pretrained::read_with(folder, masked::names)
    }

    /// Reads a folder, with the tensors beside the encoder's that `wanted` lists.
    fn read_with(
        folder: &Path,
        wanted: impl Fn(&Config) -> Result<Vec<String>, ModelError>,
    ) -> Result<Pretrained, ModelError> {
        let path = folder.join("config.json");
        if !folder.is_dir() {
            return Err(ModelError::NoFolder { path: folder.to_owned() });
        }
        if !path.is_file() {
            return Err(ModelError::MissingFile {
                folder: folder.to_owned(),
                file: "config.json".to_owned(),
            });
        }
        let raw_config = config_of(folder)?;
        let config = Config::from_json(&raw_config, &path)?;
        let files = tokenizer_files(folder)?;
        let wanted = wanted(&config)?;
        let is_wanted = |name: &str| wanted.iter().any(|it| it == name);
        let (weights, ignored) = weights::read(folder, &config, is_wanted)?;
        let beside = Beside::read(folder)?;
        Ok(Pretrained { config, raw_config, weights, ignored, beside, files })
    }

    /// Writes a folder that `transformers` opens as a sequence classifier with these labels
    /// (`AutoModelForSequenceClassification`) where the weights hold the architecture's own head,
    /// else as an encoder (`AutoModel`) with the head beside it and its pooling in config.json.
    ///
    /// BERT's own head is the pooler and `classifier`; a model with another kind of head must not
    /// hold `pooler.dense`.
    pub fn write(&self, folder: &Path, head: Head, labels: &[String]) -> Result<(), ModelError> {
        fs::create_dir_all(folder)?;
        let classifier = self.has_own_head(labels.len())?;
        let pooling = if classifier { Head::Auto } else { head };
        let mut config =
            serde_json::to_string_pretty(&self.saved_config(labels, pooling)).map_err(|error| {
                ModelError::Json { path: folder.join("config.json"), detail: error.to_string() }
            })?;
        config.push('\n');
        fs::write(folder.join("config.json"), config)?;
        for (name, bytes) in &self.files {
            fs::write(folder.join(name), bytes)?;
        }
        if !classifier {
            return weights::write(folder, &self.weights, str::to_owned);
        }
        let graph = Network::whole(&self.config, Head::Auto, labels.len())?.graph;
        let mut kept = self.weights.clone();
        kept.retain(|name, _| graph.parameters().any(|(used, _)| used == name));
        let encoder = self.config.encoder;
        weights::write(folder, &kept, |name| {
            let stands_beside = graph.marks(name).head && !encoder.is_pooler(name);
            if stands_beside { name.to_owned() } else { format!("{}{name}", encoder.prefix) }
        })
    }

    /// Says whether the weights hold the architecture's own head for so many labels.
    pub fn has_own_head(&self, labels: usize) -> Result<bool, ModelError> {
        let graph = Network::whole(&self.config, Head::Auto, labels)?.graph;
        let is_here = |(name, var)| {
            let found = self.weights.get(name).map(|weight| weight.shape());
            !graph.marks(name).head || found == Some(&graph.known_shape(var)[..])
        };
        Ok(graph.parameters().all(is_here))
    }

    /// Returns the table of the words `[V, H]`.
    pub fn word_table(&self) -> Result<Option<&ArrayD<f32>>, ModelError> {
        let graph = network::headless(&self.config)?;
        Ok(graph.word_table().and_then(|name| self.weights.get(name)))
    }

    fn saved_config(&self, labels: &[String], head: Head) -> Value {
        let mut config = self.raw_config.as_object().cloned().unwrap_or_default();
        // The weights are written in single precision whatever they were; readers take the type
        // from them.
        let stale = ["torch_dtype", "dtype", "_name_or_path", "num_labels", "_num_labels"];
        let pooling = (!self.config.encoder.sets_pooling).then_some(pretrained_head::POOLING);
        for name in stale.into_iter().chain(pooling) {
            config.shift_remove(name);
        }
        let model_type = config.get("model_type").and_then(Value::as_str);
        let family = self.config.encoder.family(model_type.unwrap_or_default());
        let class = if head == Head::Auto { "ForSequenceClassification" } else { "Model" };
        if head != Head::Auto {
            config.insert(pretrained_head::POOLING.to_owned(), head.name().into());
        }
        config.insert("architectures".to_owned(), vec![format!("{family}{class}")].into());
        (self.config.encoder.modernise)(&self.config, &mut config);
        let names: Map<String, Value> = labels
            .iter()
            .enumerate()
            .map(|(id, label)| (id.to_string(), label.as_str().into()))
            .collect();
        let ids: Map<String, Value> =
            labels.iter().enumerate().map(|(id, label)| (label.clone(), id.into())).collect();
        config.insert("id2label".to_owned(), names.into());
        config.insert("label2id".to_owned(), ids.into());
        config.insert("problem_type".to_owned(), "single_label_classification".into());
        config.into()
    }
}

/// Lists the tensors that may make up a classification head of any kind.
fn head_names(config: &Config) -> Result<Vec<String>, ModelError> {
    let mut names = Vec::new();
    for head in [Head::Auto, Head::Mean, Head::Cls] {
        let graph = Network::whole(config, head, 1)?.graph;
        let is_head = |name: &&str| graph.marks(name).head;
        names.extend(graph.parameters().map(|(name, _)| name).filter(is_head).map(str::to_owned));
    }
    Ok(names)
}

/// Reads the files of a folder's tokenizer, by name. tokenizer.json is always among them: it is
/// made of the others where the folder has none.
pub fn tokenizer_files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
    if !has_tokenizer(folder) {
        return Err(ModelError::MissingTokenizer { folder: folder.to_owned() });
    }
    let mut files = BTreeMap::new();
    for name in tokenizer_names(folder) {
        let path = folder.join(name);
        if path.is_file() {
            limit::check_json(&path)?;
            files.insert(name.to_owned(), fs::read(path)?);
        }
    }
    if !files.contains_key(TOKENIZER) {
        let made = tokenizer_json(&files, &config_of(folder)?)
            .map_err(|source| ModelError::Tokenizer { folder: folder.to_owned(), source })?;
        files.insert(TOKENIZER.to_owned(), made);
    }
    Ok(files)
}

/// Says whether a folder has a tokenizer.json or files of which it can be made.
pub fn has_tokenizer(folder: &Path) -> bool {
    let mut names = [TOKENIZER].into_iter().chain(VOCABULARIES);
    names.any(|name| folder.join(name).is_file())
}

/// Returns the names that files of a folder's tokenizer may have, in a fixed order.
fn tokenizer_names(folder: &Path) -> impl Iterator<Item = &'static str> {
    let without = !folder.join(TOKENIZER).is_file();
    TOKENIZER_FILES.into_iter().chain(ONLY_WITHOUT.into_iter().filter(move |_| without))
}

/// Reads a folder's config.json where it has one.
fn config_of(folder: &Path) -> Result<Value, ModelError> {
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Ok(Value::Null);
    }
    limit::check_json(&path)?;
    serde_json::from_slice(&fs::read(&path)?)
        .map_err(|error| ModelError::Json { path, detail: error.to_string() })
}

/// Returns the files of a folder that make up a model, in a fixed order. What else lies there (a
/// README, other formats) has no influence on anything.
pub fn model_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    if !folder.is_dir() {
        return Err(ModelError::NoFolder { path: folder.to_owned() });
    }
    let config = folder.join("config.json");
    if !config.is_file() {
        return Err(ModelError::MissingFile {
            folder: folder.to_owned(),
            file: "config.json".to_owned(),
        });
    }
    let mut files = vec![config];
    files.extend(weights::files(folder)?);
    let others = tokenizer_names(folder).chain([SEEN_TEXTS]);
    files.extend(others.map(|name| folder.join(name)).filter(|path| path.is_file()));
    Ok(files)
}

/// Says whether a file of this name can be part of a model, or says something of one; a file in a
/// folder below never is.
pub fn is_model_file(name: &str) -> bool {
    let weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    let others = [CONFIG, SEEN_TEXTS, ADAPTER, SENTENCES];
    let tokenizer = TOKENIZER_FILES.contains(&name) || ONLY_WITHOUT.contains(&name);
    others.contains(&name) || tokenizer || is_pickled(name) || (weights && !name.contains('/'))
}
