//! What a folder of sentence-transformers says of itself: modules.json and the files that it names.

use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::embedder::{Dense, DenseActivation, Embedder, Step};
use super::prompt::Prompt;
use crate::base::limit;
use crate::model::error::ModelError;
use crate::model::head::Pooling;

/// The list of modules, lowest first.
pub const MODULES: &str = "modules.json";
/// Prompts, and what is of no concern here.
pub const PROMPTS: &str = "config_sentence_transformers.json";
/// What is done to texts, beside the encoder's files.
pub const TEXTS: &str = "sentence_bert_config.json";
/// The names that this file may have; the first that is there counts.
pub const NAMES_OF_TEXTS: [&str; 7] = [
    TEXTS,
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];
/// Where newer folders have the longest text.
const TOKENIZER: &str = "tokenizer_config.json";

/// The files of a module in a folder of its own.
pub const MODULE_FILES: [&str; 3] = ["config.json", "model.safetensors", "pytorch_model.bin"];

/// The switches of old files in the order in which their vectors stand side by side, each with what
/// new files call the pooling.
pub(super) const SWITCHES: [(&str, &str, Pooling); 6] = [
    ("pooling_mode_cls_token", "cls", Pooling::Cls),
    ("pooling_mode_max_tokens", "max", Pooling::Max),
    ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
    ("pooling_mode_weightedmean_tokens", "weightedmean", Pooling::WeightedMean),
    ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
];

/// What stands in a folder beside the encoder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sentences {
    /// What stands over the encoder; `None` in a folder without modules.json.
    pub above: Option<Above>,
    /// config_sentence_transformers.json as it was read.
    pub raw_prompts: Map<String, Value>,
    /// sentence_bert_config.json as it was read.
    pub raw_texts: Map<String, Value>,
    /// `model_max_length` of the tokenizer, which is the longest text where the former is silent.
    model_max_length: Option<f64>,
}

/// The modules over an encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Above {
    /// Where the encoder's files lie, relative to the folder; empty where they lie in it.
    pub encoder: PathBuf,
    /// The vectors of texts, or why `pipe` does not compute them.
    pub embedder: Result<Embedder, Unread>,
    /// Whether a prompt's tokens are part of what is pooled.
    pub pools_prompt: bool,
    /// The folders of modules with files, lowest first, with their config.json as it was read.
    pub folders: Vec<(String, Value)>,
}

/// A module that is not computed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The file that says so.
    pub path: PathBuf,
    pub detail: String,
}

impl From<Unread> for ModelError {
    fn from(Unread { path, detail }: Unread) -> ModelError {
        ModelError::Module { path, detail }
    }
}

impl Sentences {
    /// Reads what lies in a folder.
    pub fn read(folder: &Path) -> Result<Sentences, ModelError> {
        let above = Above::read(folder)?;
        let mut sentences = Sentences { above, ..Sentences::default() };
        sentences.raw_prompts = object(&folder.join(PROMPTS))?.unwrap_or_default();
        let encoder = sentences.encoder(folder);
        let found = NAMES_OF_TEXTS.iter().find(|name| encoder.join(name).is_file());
        if let Some(name) = found {
            sentences.raw_texts = object(&encoder.join(name))?.unwrap_or_default();
        }
        if sentences.above.is_some() {
            let settings = object(&encoder.join(TOKENIZER))?.unwrap_or_default();
            sentences.model_max_length = settings.get("model_max_length").and_then(Value::as_f64);
        }
        Ok(sentences)
    }

    /// Returns where the encoder's files lie in a folder.
    pub fn encoder(&self, folder: &Path) -> PathBuf {
        self.above.as_ref().map_or(folder.to_owned(), |above| above.encoder(folder))
    }

    /// Checks that the dense layers fit on what is below them, over states of a width.
    pub fn check_widths(&self, folder: &Path, hidden: usize) -> Result<(), ModelError> {
        let Some(Ok(embedder)) = self.above.as_ref().map(|above| &above.embedder) else {
            return Ok(());
        };
        let mut expected = embedder.poolings.len() * hidden;
        for dense in embedder.dense() {
            if dense.inputs != expected {
                let path = folder.join(&dense.module).join("config.json");
                return Err(ModelError::DenseWidth { path, expected, found: dense.inputs });
            }
            expected = dense.outputs;
        }
        Ok(())
    }

    /// Returns the longest text in tokens, special ones included, that the folder was made for.
    pub fn max_seq_length(&self) -> Option<usize> {
        let own = self.raw_texts.get("max_seq_length").and_then(Value::as_f64);
        // A tokenizer without a limit has a huge one.
        let most = own.or(self.model_max_length.filter(|most| *most < 1e9))?;
        (most >= 1.0).then_some(most as usize)
    }

    /// Says whether texts are put into lower case.
    pub fn lowers(&self) -> bool {
        self.raw_texts.get("do_lower_case").and_then(Value::as_bool) == Some(true)
    }

    /// Lists the prompts by name, without empty ones.
    pub fn prompts(&self) -> IndexMap<&str, &str> {
        self.all_prompts().into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    fn all_prompts(&self) -> IndexMap<&str, &str> {
        let prompts = self.raw_prompts.get("prompts").and_then(Value::as_object);
        let texts = prompts.into_iter().flatten();
        texts.filter_map(|(name, text)| Some((name.as_str(), text.as_str()?))).collect()
    }

    /// Returns the name of the prompt that counts where none is named.
    pub fn default_prompt(&self) -> Option<&str> {
        self.raw_prompts.get("default_prompt_name").and_then(Value::as_str)
    }

    /// Returns the text that a setting puts before each text; `None` for nothing.
    ///
    /// # Errors
    ///
    /// Fails for a name that the folder does not have, and where a prompt is to be left out of the
    /// pooling.
    pub fn prompt(&self, setting: &Prompt, folder: &Path) -> Result<Option<String>, ModelError> {
        let named = |name: &str| {
            let all = self.all_prompts();
            all.get(name).map(|text| Some((*text).to_owned())).ok_or_else(|| {
                let names: Vec<String> = all.keys().map(|name| format!("`{name}`")).collect();
                let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                ModelError::NoPrompt { folder: folder.to_owned(), name: name.to_owned(), found }
            })
        };
        let text = match setting {
            Prompt::None => None,
            Prompt::Text(text) => Some(text.clone()),
            Prompt::Auto => self.default_prompt().map_or(Ok(None), named)?,
            Prompt::Named(name) => named(name)?,
        };
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Returns the vectors that the folder makes of texts: those of its modules, or the mean where
    /// it has none.
    pub fn embedder(&self) -> Result<Embedder, ModelError> {
        match &self.above {
            Some(above) => Ok(above.embedder.clone()?),
            None => Ok(Embedder::of(Pooling::Mean)),
        }
    }

    /// Lists the dense layers of the folder.
    pub fn dense(&self) -> Vec<Dense> {
        let embedder = self.above.as_ref().and_then(|above| above.embedder.as_ref().ok());
        embedder.map(|embedder| embedder.dense().cloned().collect()).unwrap_or_default()
    }
}

impl Above {
    /// Reads modules.json; `None` where a folder has none.
    pub fn read(folder: &Path) -> Result<Option<Above>, ModelError> {
        let path = folder.join(MODULES);
        let Some(list) = json(&path)? else { return Ok(None) };
        let wrong = |detail: String| ModelError::Json { path: path.clone(), detail };
        let list = list.as_array().ok_or_else(|| wrong("it is no list of modules".to_owned()))?;
        let mut modules = Vec::new();
        for module in list {
            let field = |name: &str| module.get(name).and_then(Value::as_str).unwrap_or_default();
            let place = PathBuf::from(field("path"));
            let plain = place.components().all(|part| matches!(part, Component::Normal(_)));
            if !plain || place.components().count() > 1 {
                return Err(wrong(format!(
                    "the path of a module is `{}`; expected a folder in the same folder",
                    place.display()
                )));
            }
            modules.push((field("type").to_owned(), place));
        }
        let Some(((first, encoder), rest)) = modules.split_first() else {
            return Err(wrong("it lists no module".to_owned()));
        };
        let mut above = Above {
            encoder: encoder.clone(),
            embedder: Err(Unread { path: path.clone(), detail: "it has no pooling".to_owned() }),
            pools_prompt: true,
            folders: Vec::new(),
        };
        above.embedder = if kind(first) == "Transformer" {
            above.over(folder, rest)?
        } else {
            Err(Unread { path: path.clone(), detail: format!("it begins with `{first}`") })
        };
        Ok(Some(above))
    }

    /// Returns where the encoder's files lie in a folder.
    pub fn encoder(&self, folder: &Path) -> PathBuf {
        if self.encoder.as_os_str().is_empty() {
            folder.to_owned()
        } else {
            folder.join(&self.encoder)
        }
    }

    /// Lists the files of the modules that a folder has, relative to it, without the encoder's.
    pub fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let of_modules = self.folders.iter().flat_map(|(module, _)| {
            MODULE_FILES.iter().map(move |file| Path::new(module).join(file))
        });
        let here = of_modules.filter(|place| folder.join(place).is_file());
        std::iter::once(PathBuf::from(MODULES)).chain(here).collect()
    }

    /// Reads the modules over the encoder.
    fn over(
        &mut self,
        folder: &Path,
        modules: &[(String, PathBuf)],
    ) -> Result<Result<Embedder, Unread>, ModelError> {
        let mut poolings = Vec::new();
        let mut steps = Vec::new();
        let list = folder.join(MODULES);
        for (class, place) in modules {
            let path = folder.join(place).join("config.json");
            let config = json(&path)?;
            // Without its settings, a pooling would be any; a norm has none.
            if config.is_none() && matches!(kind(class), "Pooling" | "Dense") {
                let (folder, file) = (folder.join(place), "config.json".to_owned());
                return Err(ModelError::MissingFile { folder, file });
            }
            let config = config.unwrap_or(Value::Null);
            let module = place.to_string_lossy().into_owned();
            self.folders.push((module.clone(), config.clone()));
            let found = match (kind(class), poolings.is_empty()) {
                ("Pooling", true) => {
                    self.pools_prompt = config.get("include_prompt") != Some(&Value::Bool(false));
                    read_poolings(&config, &path).map(|found| poolings = found)
                }
                ("Normalize", false) => {
                    check_names(&config, &path).map(|()| steps.push(Step::Normalize))
                }
                ("Dense", false) => {
                    read_dense(module, &config, &path).map(|dense| steps.push(Step::Dense(dense)))
                }
                _ => {
                    let detail =
                        format!("it has the module `{class}` in place {}", steps.len() + 1);
                    Err(Unread { path: list.clone(), detail })
                }
            };
            if let Err(unread) = found {
                return Ok(Err(unread));
            }
        }
        if poolings.is_empty() {
            return Ok(self.embedder.clone());
        }
        Ok(Ok(Embedder { poolings, steps }))
    }
}

/// Returns the name of a module's class, whatever module of Python it is in.
fn kind(class: &str) -> &str {
    match class.starts_with("sentence_transformers.") {
        true => class.rsplit('.').next().unwrap_or(class),
        false => class,
    }
}

/// Reads the settings of a pooling: a name or a list of names, or the switches of old files.
fn read_poolings(config: &Value, path: &Path) -> Result<Vec<Pooling>, Unread> {
    let unread = |detail: String| Unread { path: path.to_owned(), detail };
    let named = |name: &Value| {
        let known = SWITCHES.iter().find(|(_, known, _)| name.as_str() == Some(known));
        known
            .map(|(_, _, pooling)| *pooling)
            .ok_or_else(|| unread(format!("it has `pooling_mode: {name}`")))
    };
    match config.get("pooling_mode") {
        Some(Value::Array(names)) if !names.is_empty() => names.iter().map(named).collect(),
        Some(name) => Ok(vec![named(name)?]),
        None => {
            let is_on = |name: &str| config.get(name) == Some(&Value::Bool(true));
            let on: Vec<Pooling> = SWITCHES
                .iter()
                .filter(|(switch, _, _)| is_on(switch))
                .map(|(_, _, pooling)| *pooling)
                .collect();
            Ok(if on.is_empty() { vec![Pooling::Mean] } else { on })
        }
    }
}

/// Reads the settings of a dense layer.
fn read_dense(module: String, config: &Value, path: &Path) -> Result<Dense, Unread> {
    let unread = |detail: String| Unread { path: path.to_owned(), detail };
    check_names(config, path)?;
    let size = |name: &str| {
        let found = config.get(name).and_then(Value::as_u64).filter(|size| *size > 0);
        found.map(|size| size as usize).ok_or_else(|| unread(format!("it has no `{name}`")))
    };
    if config.get("use_residual") == Some(&Value::Bool(true)) {
        return Err(unread("it has `use_residual: true`".to_owned()));
    }
    let activation = config.get("activation_function").and_then(Value::as_str);
    // Without a name it is sentence-transformers' default.
    let name = activation.unwrap_or("Tanh").rsplit('.').next().unwrap_or_default();
    let activation = match name {
        "Identity" => DenseActivation::Identity,
        "Tanh" => DenseActivation::Tanh,
        "ReLU" => DenseActivation::Relu,
        "GELU" => DenseActivation::Gelu,
        other => return Err(unread(format!("it has `activation_function: {other}`"))),
    };
    let (inputs, outputs) = (size("in_features")?, size("out_features")?);
    let has_bias = config.get("bias") != Some(&Value::Bool(false));
    Ok(Dense { module, inputs, outputs, has_bias, activation })
}

/// Refuses a module that reads or writes something else than the text's vector.
fn check_names(config: &Value, path: &Path) -> Result<(), Unread> {
    for name in ["module_input_name", "module_output_name"] {
        match config.get(name).and_then(Value::as_str) {
            None | Some("sentence_embedding") => {}
            Some(other) => {
                let detail = format!("it has `{name}: {other}`");
                return Err(Unread { path: path.to_owned(), detail });
            }
        }
    }
    Ok(())
}

/// Reads a JSON file that may be missing.
fn json(path: &Path) -> Result<Option<Value>, ModelError> {
    if !path.is_file() {
        return Ok(None);
    }
    limit::check_json(path)?;
    let wrong = |error: serde_json::Error| ModelError::Json {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    serde_json::from_slice(&fs::read(path)?).map(Some).map_err(wrong)
}

/// Reads a JSON object that may be missing.
fn object(path: &Path) -> Result<Option<Map<String, Value>>, ModelError> {
    match json(path)? {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => {
            let detail = "it is no object".to_owned();
            Err(ModelError::Json { path: path.to_owned(), detail })
        }
    }
}
