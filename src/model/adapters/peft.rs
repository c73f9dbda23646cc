//! An adapter as files that `peft` reads, with the head that was trained beside it.

use std::collections::{BTreeMap, HashMap};

use ndarray::ArrayD;
use serde_json::{Value, json};

use super::contract::{Adapter, found};
use crate::engine::EngineError;
use crate::model::encoders::parts::module::Module;
use crate::model::encoders::rotary::{GTE, NOMIC_BERT};
use crate::model::encoders::{Config, Encoder};
use crate::model::weights::{Floats, Weights};
use crate::model::{ModelError, Network};

/// The folder within that of a model.
pub const FOLDER: &str = "adapter";

/// The files in it.
pub const FILES: [&str; 2] = [CONFIG, WEIGHTS];
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Before the names of `transformers`.
const PREFIX: &str = "base_model.model.";

/// The architectures whose layers `transformers` holds in other pieces than their files do, so that
/// an adapter of a layer is none there.
static IN_OTHER_PIECES: [&Encoder; 2] = [&NOMIC_BERT, &GTE];

/// Says whether `peft` can put an adapter of this architecture where it belongs.
pub fn serves(config: &Config) -> bool {
    !IN_OTHER_PIECES.contains(&config.encoder)
}

/// Returns the files of an adapter of a network with the architecture's own head, whose weights are
/// not merged yet. `base` is where `transformers` finds the model that was adapted.
///
/// # Errors
///
/// Fails where a parameter is missing.
pub fn files(
    adapter: &dyn Adapter,
    network: &Network,
    config: &Config,
    weights: &Weights,
    base: Option<&str>,
) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
    let prefix = config.encoder.prefix;
    let adapted: Vec<(String, &Module)> = network
        .modules
        .iter()
        .filter(|module| adapter.targets(module))
        .map(|module| (format!("{prefix}{}", module.name), module))
        .collect();
    let mut tensors: Vec<(String, ArrayD<f32>)> = Vec::new();
    let missing = |error: EngineError| ModelError::Graph(error.to_string());
    for (_, module) in &adapted {
        let own = adapter.tensors(module, weights).map_err(missing)?.into_iter();
        tensors.extend(own.map(|(name, array)| (format!("{PREFIX}{prefix}{name}"), array)));
    }
    let mut head: Vec<&str> = Vec::new();
    for (name, _) in network.graph.parameters().filter(|(name, _)| network.graph.marks(name).head) {
        let array = found(weights, name.to_owned()).map_err(missing)?.clone();
        let prefix = if config.encoder.is_pooler(name) { prefix } else { "" };
        tensors.push((format!("{PREFIX}{prefix}{name}"), array));
        let module = name.split('.').next().unwrap_or_default();
        if !head.contains(&module) {
            head.push(module);
        }
    }
    let mut settings = adapter.settings(&adapted);
    for (name, value) in [
        ("task_type", json!("SEQ_CLS")),
        ("base_model_name_or_path", base.map_or(Value::Null, Value::from)),
        ("modules_to_save", json!(head)),
        ("inference_mode", json!(true)),
    ] {
        settings.insert(name.to_owned(), value);
    }
    let views = tensors.iter().map(|(name, array)| (name.as_str(), Floats::of(array)));
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let stored = safetensors::serialize(views, Some(metadata)).map_err(|error| {
        ModelError::Safetensors { path: WEIGHTS.into(), detail: error.to_string() }
    })?;
    let settings = format!("{:#}\n", Value::Object(settings)).into_bytes();
    Ok(BTreeMap::from([(CONFIG.to_owned(), settings), (WEIGHTS.to_owned(), stored)]))
}
