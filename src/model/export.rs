//! The model as ONNX, for inference anywhere: a small graph whose weights are those of
//! model.safetensors beside it.

use std::path::Path;

use fs_err as fs;
use safetensors::SafeTensors;

use super::encoders::parts::builder::{Dropout, NetworkOptions};
use super::error::ModelError;
use super::head::Head;
use super::network::Network;
use super::pretrained::Pretrained;
use crate::engine::{Kernels, onnx};

/// The name of the file.
pub const FILE: &str = "model.onnx";
const WEIGHTS: &str = "model.safetensors";

/// Writes `model.onnx` into a folder that holds the model's model.safetensors.
///
/// Inputs `input_ids` and `attention_mask` `[B, L]` (i64), output `logits` `[B, labels]`; operators
/// of the ONNX standard only.
pub fn write(
    folder: &Path,
    pretrained: &Pretrained,
    head: Head,
    labels: usize,
) -> Result<(), ModelError> {
    let config = &pretrained.config;
    let options = NetworkOptions {
        kernels: Kernels::Standard,
        dropout: Dropout::Off,
        word_rows: config.vocabulary,
        positions_in_graph: true,
    };
    let mut network = Network::new(config, head, labels, options)
        .map_err(|error| ModelError::Graph(error.to_string()))?;
    network.graph.output("logits", network.logits);
    let file = fs::read(folder.join(WEIGHTS))?;
    let broken = |error: safetensors::SafeTensorError| {
        ModelError::Graph(format!("{WEIGHTS} does not read back: {error}"))
    };
    let (header, _) = SafeTensors::read_metadata(&file).map_err(broken)?;
    // Eight bytes hold the header's length.
    let data_start = 8 + header as u64;
    let tensors = SafeTensors::deserialize(&file).map_err(broken)?;
    let places: Vec<(String, u64, u64)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let offset = view.data().as_ptr() as u64 - file.as_ptr() as u64;
            debug_assert!(offset >= data_start);
            (name, offset, view.data().len() as u64)
        })
        .collect();
    let model = onnx::write_with(&network.graph, |parameter| {
        // The file's names are those of `transformers`, with the architecture's prefix.
        let (_, offset, length) = places.iter().find(|(name, _, _)| {
            name == parameter
                || name.strip_suffix(parameter).is_some_and(|prefix| {
                    prefix.ends_with('.') && !prefix[..prefix.len() - 1].contains('.')
                })
        })?;
        Some(onnx::External { file: WEIGHTS.to_owned(), offset: *offset, length: *length })
    });
    fs::write(folder.join(FILE), model)?;
    Ok(())
}
