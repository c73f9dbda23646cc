//! The model as ONNX, for inference anywhere: a small graph whose weights are those of
//! the safetensors files beside it.

use std::path::Path;

use fs_err as fs;

use super::encoders::parts::builder::{Dropout, NetworkOptions};
use super::error::ModelError;
use super::network::Network;
use super::pretrained::Pretrained;
use super::sentences::HeadForm;
use super::weights;
use crate::engine::{Kernels, onnx};

/// The name of the file.
pub const FILE: &str = "model.onnx";

/// Writes `model.onnx` into a folder that holds the model's model.safetensors.
///
/// Inputs `input_ids` and `attention_mask` `[B, L]` (i64), output `logits` `[B, labels]`; operators
/// of the ONNX standard only.
pub fn write(
    folder: &Path,
    pretrained: &Pretrained,
    form: &HeadForm,
    labels: usize,
) -> Result<(), ModelError> {
    let config = &pretrained.config;
    let options = NetworkOptions {
        kernels: Kernels::Standard,
        dropout: Dropout::Off,
        word_rows: config.vocabulary,
        positions_in_graph: true,
        packed: false,
    };
    let mut network = Network::new(config, form, labels, options)
        .map_err(|error| ModelError::Graph(error.to_string()))?;
    network.graph.output("logits", network.output);
    // The file's names are those of `transformers`, with the architecture's prefix.
    let has_prefix = |prefix: &str| {
        prefix.is_empty() || prefix.strip_suffix('.').is_some_and(|prefix| !prefix.contains('.'))
    };
    let mut places = places_in(folder, weights::WHOLE)?;
    if folder.join(weights::HEAD).is_file() {
        places.extend(places_in(folder, weights::HEAD)?);
    }
    if let Some(embedder) = form.embedder() {
        for dense in embedder.dense() {
            let file = format!("{}/{}", dense.module, weights::WHOLE);
            let own = places_in(folder, &file)?.into_iter();
            places.extend(own.map(|(name, place)| (format!("{}.{name}", dense.module), place)));
        }
    }
    let model = onnx::write_with(&network.graph, |parameter| {
        let same = |name: &str| name == parameter;
        let ends = |name: &str| name.strip_suffix(parameter).is_some_and(has_prefix);
        let found = places.iter().find(|(name, _)| same(name));
        let found = found.or_else(|| places.iter().find(|(name, _)| ends(name)))?;
        Some(found.1.clone())
    });
    fs::write(folder.join(FILE), model)?;
    Ok(())
}

/// Returns where each tensor of a safetensors file lies in it.
fn places_in(folder: &Path, file: &str) -> Result<Vec<(String, onnx::External)>, ModelError> {
    let place =
        |(name, offset, length)| (name, onnx::External { file: file.to_owned(), offset, length });
    Ok(weights::read::places(&folder.join(file))?.into_iter().map(place).collect())
}
