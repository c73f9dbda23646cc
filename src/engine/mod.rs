//! Training on ONNX Runtime: graphs, gradients, kernels and the backends that run them. Knows no tables and no texts.

pub mod device;
pub mod install;
pub mod library;
pub mod runtime;

pub use device::Device;
pub use runtime::{Runtime, RuntimeError, RuntimeIdentity};
