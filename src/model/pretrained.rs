//! A Hugging Face model folder in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use ndarray::ArrayD;
use serde_json::{Map, Value, json};

use super::beside::{ADAPTER, Beside};
use super::encoders::Config;
use super::error::ModelError;
use super::head::{Head, Pooling};
use super::network::{self, Network};
use super::pretrained_head::{self, PretrainedHead};
use super::sentences::modules::{MODULES, NAMES_OF_TEXTS, PROMPTS};
use super::sentences::{Above, Embedder, HeadForm, Nearest, Prompt, Sentences};
use super::weights::pickled::is_pickled;
pub use super::weights::{Tensors, Weights};
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

/// Of these, the texts whose labels it has learnt, where it has read others without.
pub const LEARNT_TEXTS: &str = "learnt_texts.parquet";

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
    pub weights: Tensors,
    /// The tensors of the files that were not read, by their names there.
    pub ignored: Vec<String>,
    /// Settings of other programs in the folder.
    pub beside: Beside,
    /// What the folder says as one of sentence-transformers.
    pub sentences: Sentences,
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

    /// Reads a Hugging Face folder, with all the heads that it may have.
    pub fn read_with_all_heads(folder: &Path) -> Result<Pretrained, ModelError> {
        let names = |config: &Config| Ok([head_names(config)?, masked::names(config)?].concat());
        Pretrained::read_with(folder, names)
    }

    /// Reads a folder, with the tensors beside the encoder's that `wanted` lists.
    fn read_with(
        folder: &Path,
        wanted: impl Fn(&Config) -> Result<Vec<String>, ModelError>,
    ) -> Result<Pretrained, ModelError> {
        if !folder.is_dir() {
            return Err(ModelError::NoFolder { path: folder.to_owned() });
        }
        let sentences = Sentences::read(folder)?;
        let encoder = sentences.encoder(folder);
        let path = encoder.join(CONFIG);
        if !path.is_file() {
            return Err(ModelError::MissingFile { folder: encoder, file: CONFIG.to_owned() });
        }
        let raw_config = config_of(&encoder)?;
        let config = Config::from_json(&raw_config, &path)?;
        let files = tokenizer_files(&encoder)?;
        let wanted = wanted(&config)?;
        let is_wanted = |name: &str| wanted.iter().any(|it| it == name);
        let (mut weights, ignored) = weights::look(&encoder, &config, is_wanted)?;
        sentences.check_widths(folder, config.hidden)?;
        for dense in sentences.dense() {
            weights.append(weights::look_at_dense(folder, &dense)?);
        }
        let beside = Beside::of(&encoder, &sentences);
        Ok(Pretrained { config, raw_config, weights, ignored, beside, sentences, files })
    }

    /// Returns the form of head that a setting gives on this folder: where the folder decides, its
    /// own trained head of the architecture, else its modules, else a new head of the architecture.
    ///
    /// # Errors
    ///
    /// Fails where the folder decides and has modules that are not read.
    pub fn form(&self, head: Head) -> Result<HeadForm, ModelError> {
        let of_modules = head == Head::Auto && self.sentences.above.is_some();
        if !of_modules || self.has_trained_head()? {
            return Ok(head.into());
        }
        Ok(HeadForm::Linear(self.sentences.embedder()?))
    }

    /// Returns the form of the head of a folder that was written after a training with a setting:
    /// that which the setting gives, or a count of the nearest over the same vectors.
    ///
    /// # Errors
    ///
    /// Fails as [`Pretrained::form`] does.
    pub fn trained_form(&self, head: Head) -> Result<HeadForm, ModelError> {
        let form = self.form(head)?;
        Ok(pretrained_head::or_nearest(form, &self.raw_config))
    }

    /// Returns the vectors that a setting gives on this folder.
    ///
    /// # Errors
    ///
    /// Fails where the folder decides and has modules that are not read.
    pub fn embedder(&self, setting: Head) -> Result<Embedder, ModelError> {
        match setting.pooling() {
            Some(pooling) => Ok(Embedder::of(pooling)),
            None => self.sentences.embedder(),
        }
    }

    /// Returns the text that a setting puts before each text; `of_modules` says whether the
    /// folder's modules make the vectors.
    ///
    /// # Errors
    ///
    /// Fails for a name that the folder does not have, and where its modules leave a prompt out of
    /// the pooling.
    pub fn prompt(
        &self,
        setting: &Prompt,
        of_modules: bool,
        folder: &Path,
    ) -> Result<Option<String>, ModelError> {
        let prompt = self.sentences.prompt(setting, folder)?;
        let leaves_out = self.sentences.above.as_ref().is_some_and(|above| !above.pools_prompt);
        if prompt.is_some() && of_modules && leaves_out {
            return Err(ModelError::PromptLeftOut { folder: folder.to_owned() });
        }
        Ok(prompt)
    }

    /// Returns what the folder says of its classification head.
    pub fn head(&self) -> PretrainedHead {
        PretrainedHead::of(&self.raw_config, &self.sentences)
    }

    /// Says whether the folder is that of a classifier of the architecture, with its whole head.
    fn has_trained_head(&self) -> Result<bool, ModelError> {
        let head = self.head();
        // What `transformers` takes where no class is named.
        let classes = head.classes().map_or(2, <[String]>::len);
        Ok(head.names_classifier() && self.has_own_head(classes)?)
    }

    /// Writes a folder that `transformers` opens as a sequence classifier with these labels
    /// (`AutoModelForSequenceClassification`) where the weights hold the architecture's own head,
    /// else as an encoder (`AutoModel`) with the head beside it and its form in config.json. Of a
    /// folder of sentence-transformers it is one again, with the vectors that the head reads.
    ///
    /// BERT's own head is the pooler and `classifier`; a model with another kind of head must not
    /// hold `pooler.dense`.
    pub fn write(
        &self,
        folder: &Path,
        form: impl Into<HeadForm>,
        labels: &[String],
    ) -> Result<(), ModelError> {
        let form = form.into();
        fs::create_dir_all(folder)?;
        let classifier = form == HeadForm::Own && self.has_own_head(labels.len())?;
        let config = format!("{:#}\n", self.saved_config(labels, &form));
        fs::write(folder.join(CONFIG), config)?;
        for (name, bytes) in &self.files {
            fs::write(folder.join(name), bytes)?;
        }
        self.sentences.write(folder, form.embedder(), self.config.hidden)?;
        let mut kept = self.weights.clone();
        self.write_dense(folder, &mut kept)?;
        let graph = Network::whole(&self.config, form, labels.len())?.graph;
        if !classifier {
            let head = kept.split_off(|name| graph.marks(name).head);
            if !head.is_empty() {
                weights::save(&folder.join(weights::HEAD), &head)?;
            }
            return weights::save(&folder.join(weights::WHOLE), &kept);
        }
        let kept = kept.some(|name| graph.parameters().any(|(used, _)| used == name))?;
        let encoder = self.config.encoder;
        weights::write(folder, &kept, |name| {
            let stands_beside = graph.marks(name).head && !encoder.is_pooler(name);
            if stands_beside { name.to_owned() } else { format!("{}{name}", encoder.prefix) }
        })
    }

    /// Takes the weights of dense layers out and writes them into the folders of their modules.
    pub(super) fn write_dense(&self, folder: &Path, kept: &mut Tensors) -> Result<(), ModelError> {
        for dense in self.sentences.dense() {
            let start = format!("{}.", dense.module);
            let parameters = dense.parameters();
            let own = kept.split_off(|name| parameters.iter().any(|it| it.0 == name));
            let module = folder.join(&dense.module);
            // A head over another pooling has no use for them.
            if module.is_dir() {
                weights::write(&module, &*own.all()?, |name| name.replacen(&start, "", 1))?;
            }
        }
        Ok(())
    }

    /// Says whether the weights hold the architecture's own head for so many labels.
    pub fn has_own_head(&self, labels: usize) -> Result<bool, ModelError> {
        let graph = Network::whole(&self.config, HeadForm::Own, labels)?.graph;
        let is_here = |(name, var)| {
            let found = self.weights.shape(name);
            !graph.marks(name).head || found == Some(&graph.known_shape(var)[..])
        };
        Ok(graph.parameters().all(is_here))
    }

    /// Reads the weights of a head over vectors.
    ///
    /// # Errors
    ///
    /// Fails where their file cannot be read.
    pub fn vector_head(&self) -> Result<Weights, ModelError> {
        self.weights.some(network::is_vector_head)
    }

    /// Returns the table of the words `[V, H]`.
    pub fn word_table(&self) -> Result<Option<Cow<'_, ArrayD<f32>>>, ModelError> {
        let graph = network::headless(&self.config)?;
        graph.word_table().map_or(Ok(None), |name| self.weights.get(name))
    }

    fn saved_config(&self, labels: &[String], form: &HeadForm) -> Value {
        let mut config = self.raw_config.as_object().cloned().unwrap_or_default();
        // The weights are written in single precision whatever they were; readers take the type
        // from them.
        let stale = ["torch_dtype", "dtype", "_name_or_path", "num_labels", "_num_labels"];
        let pooling = (!self.config.encoder.sets_pooling).then_some(pretrained_head::POOLING);
        let own = [pretrained_head::FORM, pretrained_head::NEAREST];
        for name in stale.into_iter().chain(pooling).chain(own) {
            config.shift_remove(name);
        }
        let model_type = config.get("model_type").and_then(Value::as_str);
        let family = self.config.encoder.family(model_type.unwrap_or_default());
        let class = if *form == HeadForm::Own { "ForSequenceClassification" } else { "Model" };
        if let Some((field, name)) = pretrained_head::field_of(form) {
            config.insert(field.to_owned(), name.into());
        }
        if let HeadForm::Nearest(_, nearest) = form {
            config.insert(pretrained_head::NEAREST.to_owned(), json!(nearest));
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
    let embedder = Embedder::of(Pooling::Cls);
    let nearest = HeadForm::Nearest(embedder.clone(), Nearest { texts: 1, k: 1 });
    for form in [HeadForm::Own, HeadForm::Linear(embedder), nearest] {
        let graph = Network::whole(config, form, 1)?.graph;
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
    let above = Above::read(folder)?;
    let encoder = above.as_ref().map_or(folder.to_owned(), |above| above.encoder(folder));
    let config = encoder.join(CONFIG);
    if !config.is_file() {
        return Err(ModelError::MissingFile { folder: encoder, file: CONFIG.to_owned() });
    }
    let mut files = vec![config];
    files.extend(weights::files(&encoder)?);
    let of_encoder = tokenizer_names(&encoder).chain(NAMES_OF_TEXTS).map(|name| encoder.join(name));
    let beside = [SEEN_TEXTS, LEARNT_TEXTS, PROMPTS].into_iter().map(|name| folder.join(name));
    files.extend(of_encoder.chain(beside).filter(|path| path.is_file()));
    let Some(above) = above else { return Ok(files) };
    files.extend(above.files(folder).into_iter().map(|name| folder.join(name)));
    if let Ok(embedder) = &above.embedder {
        for dense in embedder.dense() {
            weights::file_of(folder, dense)?;
        }
    }
    Ok(files)
}

/// Says whether a file of this name can be part of a model, or says something of one. In folders
/// below, only those of modules count: `1_Pooling/config.json`.
pub fn is_model_file(name: &str) -> bool {
    let (module, name) = name.split_once('/').map_or((None, name), |(at, of)| (Some(at), of));
    let is_module = |folder: &str| {
        folder.split_once('_').is_some_and(|(number, class)| {
            let all = |text: &str, is: fn(&u8) -> bool| {
                !text.is_empty() && text.as_bytes().iter().all(is)
            };
            let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
            all(number, u8::is_ascii_digit) && all(class, is_of_name)
        })
    };
    let weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    let others = [CONFIG, SEEN_TEXTS, LEARNT_TEXTS, ADAPTER, MODULES, PROMPTS];
    let others = others.contains(&name) || NAMES_OF_TEXTS.contains(&name);
    let tokenizer = TOKENIZER_FILES.contains(&name) || ONLY_WITHOUT.contains(&name);
    module.is_none_or(is_module)
        && !name.contains('/')
        && (others || tokenizer || weights || is_pickled(name))
}
