//! Training on ONNX Runtime: graphs, gradients, kernels and the backends that run them. Knows no
//! tables and no texts.

pub mod error;
pub mod device;
pub mod cuda;
pub mod install;
pub mod library;
pub mod runtime;
pub mod fact;
pub mod graph;
pub mod op;
pub mod build;
pub mod autodiff;
pub mod precision;
pub mod place;
pub mod proto;
pub mod wire;
pub mod onnx;
pub mod kernel;
pub mod loss_scale;
pub mod optimizer;
pub mod binding;
pub mod inference;
pub mod trainer;
pub mod session;
pub mod checkpoint;
pub mod artifacts;
pub mod training_session;
pub mod training_api;
#[cfg(test)]
mod tests;

pub use artifacts::{Artifacts, Clipping};
pub use autodiff::gradients;
pub use device::Device;
pub use error::EngineError;
pub use fact::{DType, Dim, ShapeError, TensorFact};
pub use graph::{Graph, Kernels, Var};
pub use inference::Inference;
pub use optimizer::{Algorithm, Group, OptimizerConfig};
pub use place::Place;
pub use precision::{Precision, Products};
pub use runtime::{Runtime, RuntimeError, RuntimeIdentity};
pub use session::{Recipe, SessionTrainer};
pub use trainer::{Part, State, StepOutcome, Trainer};
pub use training_api::ApiTrainer;
