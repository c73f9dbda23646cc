//! ONNX Runtime as a library: versions, finding, installing and loading it; devices and GPUs.

pub mod version;
pub mod device;
pub mod error;
pub mod library;
mod receipt;
pub mod cuda;
pub mod install;
pub mod runtime;
