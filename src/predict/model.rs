//! Reading a model from a folder or an ONNX file, whoever wrote it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data::{Curves, Seen};
use crate::engine::{EngineError, Place};
use crate::model::input_layout::InputLayout;
use crate::model::pretrained::{CONFIG, tokenizer_files};
use crate::model::pretrained_head::PretrainedHead;
use crate::model::sentences::Preparation;
use crate::model::{HeadForm, Network as Graph, NetworkOptions, Pretrained, Sentences};
use crate::stages::contract::output::{Network, OnnxModel};
use crate::stages::inference::texts::bounded;
use crate::stages::{StageError, TrainedModel, TrainingSummary};

/// A path that no model can be read from.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum OpenError {
    #[error("`{}` holds no model", path.display())]
    #[diagnostic(help(
        "a model is a folder with config.json, its weights and its tokenizer, or an ONNX file with \
         config.json and tokenizer.json beside it"
    ))]
    NoModel { path: PathBuf },
    #[error("`{}` has no classification head that can be used: {reason}", path.display())]
    #[diagnostic(help(
        "a classifier has `…ForSequenceClassification` among `architectures` and its classes in \
         `id2label`; an encoder has to be trained first"
    ))]
    NoHead { path: PathBuf, reason: String },
    #[error("`{}` cannot be read: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

/// The usual name of the logits in an ONNX file.
const LOGITS: &str = "logits";

/// Reads a model: one that `pipe` has trained, a classifier in a folder of `transformers`, or an
/// ONNX file beside the config.json and the tokenizer of such a folder.
///
/// # Errors
///
/// Fails where there is no model, where it has no head with named classes, and where a file of it
/// cannot be read.
pub fn open(path: &Path) -> Result<TrainedModel, StageError> {
    let is_onnx = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    if path.is_file() && is_onnx {
        return of_onnx(path);
    }
    if TrainedModel::is_in(path) {
        return TrainedModel::read(path);
    }
    if !path.join(CONFIG).is_file() {
        return Err(Box::new(OpenError::NoModel { path: path.to_owned() }));
    }
    let pretrained = Pretrained::read_with_all_heads(path)?;
    let head = pretrained.head();
    let no_head = |reason: String| OpenError::NoHead { path: path.to_owned(), reason };
    let form = head.form().map_err(|other| no_head(format!("it is for {other}")))?.clone();
    let labels = named(&head).map_err(no_head)?;
    if let Some(name) = missing(&pretrained, &form, labels.len())? {
        return Err(Box::new(no_head(format!("the weights have no `{name}` for its classes"))));
    }
    let max_length = bounded(&pretrained.sentences, None, Some(&pretrained.config));
    let preparation =
        Preparation { prompt: None, lowers: pretrained.sentences.lowers(), windows: None };
    let network = Network::Encoder { pretrained: Box::new(pretrained), form };
    Ok(model(network, labels, max_length, preparation))
}

fn of_onnx(path: &Path) -> Result<TrainedModel, StageError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    // Its weights lie beside it, in a file that other models may share.
    if TrainedModel::is_in(folder) {
        return TrainedModel::read(folder);
    }
    let damaged = |error: &dyn std::fmt::Display| OpenError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let model_bytes = fs_err::read(path).map_err(|error| damaged(&error))?;
    let json = folder.join(CONFIG);
    let no_head =
        |reason: &str| OpenError::NoHead { path: path.to_owned(), reason: reason.to_owned() };
    let bytes = fs_err::read(&json).map_err(|_| no_head("there is no config.json beside it"))?;
    let config: Value = serde_json::from_slice(&bytes)
        .map_err(|error| OpenError::Damaged { path: json, reason: error.to_string() })?;
    let labels = named(&PretrainedHead::of_json(&config)).map_err(|reason| no_head(&reason))?;
    let mut files = tokenizer_files(folder)?;
    files.insert(CONFIG.to_owned(), bytes);
    let positions = config.get("max_position_embeddings").and_then(Value::as_u64);
    let positions = positions.and_then(|most| usize::try_from(most).ok());
    let length = bounded(&Sentences::default(), None, None);
    let network = Network::Onnx(OnnxModel {
        model: model_bytes,
        output: LOGITS.to_owned(),
        layout: InputLayout::of_json(&config),
        files,
    });
    let length = positions.map_or(length, |most| length.min(most));
    Ok(model(network, labels, length, Preparation::default()))
}

/// Returns the names of the classes, or why there are none.
fn named(head: &PretrainedHead) -> Result<Vec<String>, String> {
    let classes = head.classes().filter(|classes| !classes.is_empty());
    classes.map(<[String]>::to_vec).ok_or_else(|| "config.json names no classes".to_owned())
}

/// Returns a parameter of a network that a folder does not have.
fn missing(
    pretrained: &Pretrained,
    form: &HeadForm,
    classes: usize,
) -> Result<Option<String>, EngineError> {
    let config = &pretrained.config;
    let options = NetworkOptions::inference(config, Place::Host);
    let network = Graph::new(config, form.clone(), classes, options)?;
    let graph = &network.graph;
    let lacks = |name: &str, shape: &[usize]| pretrained.weights.shape(name) != Some(shape);
    let found = graph.parameters().find(|(name, var)| lacks(name, &graph.known_shape(*var)));
    Ok(found.map(|(name, _)| name.to_owned()))
}

fn model(
    network: Network,
    labels: Vec<String>,
    max_length: usize,
    preparation: Preparation,
) -> TrainedModel {
    TrainedModel {
        network,
        labels,
        max_length,
        preparation,
        frozen: None,
        summary: TrainingSummary::default(),
        curves: Curves::default(),
        seen: Seen::default(),
        adapter: std::collections::BTreeMap::new(),
    }
}
