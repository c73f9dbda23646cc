//! Training on ONNX Runtime: graphs, gradients, kernels and the backends that run them. Knows no tables and no texts.

pub mod device;
pub mod install;
pub mod library;
pub mod runtime;
pub mod fact;
pub mod graph;
pub mod op;
pub mod build;
pub mod autodiff;
pub mod onnx;
pub mod kernel;
pub mod optimizer;
pub mod binding;
pub mod inference;
pub mod session;
#[cfg(test)]
mod tests;

pub use autodiff::gradients;
pub use device::Device;
pub use fact::{DType, Dim, ShapeError, TensorFact};
pub use graph::{Graph, Kernels, Var};
pub use inference::Inference;
pub use optimizer::{Algorithm, Group, OptimizerConfig};
pub use runtime::{Runtime, RuntimeError, RuntimeIdentity};
pub use session::{EngineError, SessionTrainer, StepOutcome};
