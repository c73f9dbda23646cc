//! Training on ONNX Runtime: graphs, gradients, kernels and the backends that run them. Knows no
//! tables and no texts.
//!
//! The rooms stand on one another, the lowest first: [`graph`], [`onnx`], [`kernel`], [`runtime`],
//! [`backend`], [`samples`].

pub mod graph;
pub mod onnx;
pub mod kernel;
pub mod runtime;
pub mod backend;
pub mod samples;
#[cfg(test)]
mod tests;

pub use backend::error::EngineError;
pub use backend::inference::Inference;
pub use backend::place::Place;
pub use backend::session::{Recipe, SessionTrainer};
pub use backend::trainer::{Part, State, StepOutcome, Trainer};
pub use backend::training_api::artifacts::{Artifacts, Clipping};
pub use backend::training_api::trainer::ApiTrainer;
pub use graph::autodiff::gradients;
pub use graph::fact::{DType, Dim, ShapeError, TensorFact};
pub use graph::graph::{Graph, Initial, Kernels, Marks, Var};
pub use graph::lower::Products;
pub use graph::optimizer::{AdamW, OptimizerConfig, ParameterGroup, Sgd, Update};
pub use runtime::device::{Device, Precision};
pub use runtime::error::RuntimeError;
pub use runtime::runtime::{Runtime, RuntimeIdentity};
