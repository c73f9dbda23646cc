//! What can go wrong in the engine.

use super::training_api::checkpoint::CheckpointError;
use super::training_api::error::ArtifactsError;
use crate::base::lack::tells_of_memory;
use crate::engine::graph::fact::ShapeError;
use crate::engine::graph::op::GradError;

/// Something that the engine could not do.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    #[error("ONNX Runtime: {0}")]
    #[diagnostic(help(
        "`pipe runtime` shows the library; if memory ran out, a shorter `max_length` or `freeze` \
         uses less, and sessions (`backend: session`) compute batches in parts"
    ))]
    Runtime(#[from] ort::Error),
    #[error("the model's graph cannot be built: {0}")]
    Shape(#[from] ShapeError),
    #[error("the model's gradients cannot be built: {0}")]
    Grad(#[from] GradError),
    #[error("parameter `{0}` is missing")]
    MissingParameter(String),
    #[error("parameter `{name}` has shape {found:?}; expected {expected:?}")]
    ParameterShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("the loss does not depend on parameter `{0}`")]
    #[diagnostic(help("add the parameter to the patterns of `freeze`"))]
    Unreached(String),
    #[error("the input `{0}` is missing")]
    MissingInput(String),
    #[error("the graph has no output")]
    NoOutput,
    #[error("{library} has no training API")]
    #[diagnostic(help(
        "`scripts/build-onnxruntime-training.sh` builds a library with it; or train with sessions: \
         `backend: session`"
    ))]
    NoTrainingApi { library: String },
    #[error("the checkpoint cannot be used: {0}")]
    #[diagnostic(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the training artifacts cannot be used: {0}")]
    #[diagnostic(transparent)]
    Artifacts(#[from] ArtifactsError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl EngineError {
    /// Returns what a GPU without memory gives.
    #[cfg(test)]
    pub fn out_of_memory() -> EngineError {
        ort::Error::new("CUDA failure 2: out of memory").into()
    }

    /// Says whether memory ran out, the host's or a GPU's.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, EngineError::Runtime(error) if tells_of_memory(&error.to_string()))
    }
}
